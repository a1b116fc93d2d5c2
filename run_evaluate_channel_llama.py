"""Predict the label word y with the highest p(x|y).

    torchrun --nproc_per_node 1 run_evaluate_channel_llama.py --data_path samples/inputs_channel_ag_news.json \
        --output_path samples/outputs_channel_ag_news.json --ckpt_dir checkpoints/llama/7B \
        --tokenizer_path checkpoints/llama/tokenizer.model
"""

from options import run
from evaluate.scoring import ScoreConfig, evaluate_channel

run(ScoreConfig, evaluate_channel)
