"""Pre-train LayoutLMv3 on unlabelled pages; the same command again takes up where it stopped.

    python run_pretrain_layoutlmv3.py --model microsoft/layoutlmv3-base --dataset pages --dataset_path my/pages \
        --output_dir runs/pretrain --steps 10000
"""

from options import run
from pretrain.layoutlmv3 import LayoutLMv3PretrainingConfig, pretrain_layoutlmv3

run(LayoutLMv3PretrainingConfig, pretrain_layoutlmv3)
