"""Label the text blocks of pages with a LLaMA that run_finetune_llama_layout.py trained.

python run_predict_llama_layout.py --model runs/llama-layout --blocks page.json --output_path predicted.json
"""

from options import run
from finetune.llama.prediction import LlamaPredictionConfig, predict_llama

run(LlamaPredictionConfig, predict_llama)
