"""Download SmolLM2-135M-Instruct, a small pretrained model, to checkpoints/smollm2-135m.

python run_convert_smollm2.py
"""

from options import run
from convert.smollm2 import SmolLM2Config, fetch

run(SmolLM2Config, fetch)
