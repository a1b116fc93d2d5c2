"""Predict the first label word in the generated text.

    torchrun --nproc_per_node 1 run_evaluate_generate_llama.py --data_path samples/inputs_direct_ag_news.json \
        --output_path samples/outputs_generate_ag_news.json --ckpt_dir checkpoints/llama/7B \
        --tokenizer_path checkpoints/llama/tokenizer.model --temperature 0.8 --top_p 0.95 --max_gen_len 8
"""

from options import run
from evaluate.generation import GenerateConfig, evaluate_generate

run(GenerateConfig, evaluate_generate)
