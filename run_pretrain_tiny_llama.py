"""Train checkpoints/tiny from random weights. The same command resumes an interrupted run.

    OMP_NUM_THREADS=1 torchrun --nproc_per_node 2 run_pretrain_tiny_llama.py --compile \
        --news_path data/ag_news/train.csv --docbank_path data/docbank --output_dir checkpoints/tiny
"""

from options import run
from tiny_llama.train import PretrainConfig, pretrain

run(PretrainConfig, pretrain)
