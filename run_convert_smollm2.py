"""Fetch SmolLM2-135M-Instruct, a small pretrained model, and make checkpoints/smollm2-135m of it.

python run_convert_smollm2.py
"""

from options import run
from convert.smollm2 import SmolLM2Config, fetch

run(SmolLM2Config, fetch)
