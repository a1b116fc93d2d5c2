"""Fine-tune LayoutLMv3 to classify the words or blocks of pages.

python run_finetune_layoutlmv3.py --model microsoft/layoutlmv3-base --dataset funsd --output_dir runs/funsd
"""

from options import run
from finetune.layoutlmv3.fine_tuning import LayoutLMv3Config, finetune_layoutlmv3

run(LayoutLMv3Config, finetune_layoutlmv3)
