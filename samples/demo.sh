#!/usr/bin/env bash
# Both sample sets, four methods, the tiny checkpoint, one table. Everything is written to an empty temporary folder.
#   samples/demo.sh FOLDER_WITH_PYTHON
set -euo pipefail
bin=$1
out=$(mktemp -d "${TMPDIR:-/tmp}/demo.XXXXXX")
export PYTHONUNBUFFERED=1

for data in ag_news doclaynet; do
    for method in direct channel; do
        "$bin/python" "run_preprocess_${method}_$data.py" --data_path "$out/inputs_${method}_$data.json"
    done
    "$bin/torchrun" --nproc_per_node 1 run_evaluate_direct_llama.py \
        --data_path "$out/inputs_direct_$data.json" --output_path "$out/outputs_direct_$data.json"
    "$bin/torchrun" --nproc_per_node 1 run_evaluate_direct_calibrate_llama.py \
        --direct_input_path "$out/inputs_direct_$data.json" --direct_output_path "$out/outputs_direct_$data.json" \
        --output_path "$out/outputs_direct_calibrate_$data.json"
    "$bin/torchrun" --nproc_per_node 1 run_evaluate_channel_llama.py \
        --data_path "$out/inputs_channel_$data.json" --output_path "$out/outputs_channel_$data.json"
    "$bin/torchrun" --nproc_per_node 1 run_evaluate_generate_llama.py \
        --data_path "$out/inputs_direct_$data.json" --output_path "$out/outputs_generate_$data.json" --temperature 0
done
echo
"$bin/python" run_results_table.py "$out"
echo
echo "All files are in $out"
