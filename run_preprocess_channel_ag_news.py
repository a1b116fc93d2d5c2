"""AG News as prompts of the channel method.

python run_preprocess_channel_ag_news.py
"""

from options import run
from preprocess.ag_news import AgNewsConfig, preprocess_channel

run(AgNewsConfig, preprocess_channel)
