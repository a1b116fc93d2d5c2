"""AG News as prompts of the channel method.

python run_preprocess_channel_ag_news.py
"""

from options import run
from preprocess.ag_news import PromptOptions, preprocess_channel

run(PromptOptions, preprocess_channel)
