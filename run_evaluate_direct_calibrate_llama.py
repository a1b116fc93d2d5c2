"""Predict the label word y with the highest p(y|x) / p(y|N/A), from the output of run_evaluate_direct_llama.py.

    torchrun --nproc_per_node 1 run_evaluate_direct_calibrate_llama.py \
        --direct_input_path samples/inputs_direct_ag_news.json \
        --direct_output_path samples/outputs_direct_ag_news.json \
        --output_path samples/outputs_direct_calibrate_ag_news.json \
        --ckpt_dir checkpoints/llama/7B --tokenizer_path checkpoints/llama/tokenizer.model
"""

from options import run
from evaluate.calibration import CalibrateConfig, evaluate_direct_calibrate

run(CalibrateConfig, evaluate_direct_calibrate)
