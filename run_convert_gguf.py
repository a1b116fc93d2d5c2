"""Convert a GGUF file of llama.cpp to a Hugging Face folder, for --ckpt_dir.

python run_convert_gguf.py --gguf models/SmolLM2-135M-Instruct.Q4_1.gguf --output_dir checkpoints/smollm2-135m
"""

from options import run
from convert.gguf import GgufConfig, convert

run(GgufConfig, convert)
