"""DocLayNet's page blocks as prompts of the direct method.

python run_preprocess_direct_doclaynet.py
"""

from options import run
from preprocess.doclaynet import DocLayNetConfig, preprocess_direct

run(DocLayNetConfig, preprocess_direct)
