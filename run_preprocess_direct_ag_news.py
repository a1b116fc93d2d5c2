"""AG News as prompts of the direct method.

python run_preprocess_direct_ag_news.py
"""

from options import run
from preprocess.ag_news import AgNewsConfig, preprocess_direct

run(AgNewsConfig, preprocess_direct)
