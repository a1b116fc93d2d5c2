"""Predict the label word y with the highest p(y|x).

    torchrun --nproc_per_node 1 run_evaluate_direct_llama.py --data_path samples/inputs_direct_ag_news.json \
        --output_path samples/outputs_direct_ag_news.json --ckpt_dir checkpoints/llama/7B \
        --tokenizer_path checkpoints/llama/tokenizer.model
"""

from options import run
from evaluate.scoring import ScoreConfig, evaluate_direct

run(ScoreConfig, evaluate_direct)
