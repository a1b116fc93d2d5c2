"""DocLayNet's page blocks as prompts of the channel method.

python run_preprocess_channel_doclaynet.py
"""

from options import run
from preprocess.doclaynet import DocLayNetConfig, preprocess_channel

run(DocLayNetConfig, preprocess_channel)
