"""AG News as prompts of the direct method.

python run_preprocess_direct_ag_news.py
"""

from options import run
from preprocess.ag_news import PromptOptions, preprocess_direct

run(PromptOptions, preprocess_direct)
