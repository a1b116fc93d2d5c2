"""Fine-tune LLaMA with LoRA to classify the text blocks of pages. The same command resumes an interrupted run.

    python run_finetune_llama_layout.py --model meta-llama/Llama-2-7b-hf \
        --dataset_path docling-project/DocLayNet-v1.2 --output_dir runs/llama-layout
"""

from options import run
from finetune.llama.fine_tuning import LlamaLayoutConfig, finetune_llama

run(LlamaLayoutConfig, finetune_llama)
