#!/usr/bin/env bash
# Makes a folder with all that a machine with Python, PyTorch and a GPU, but no internet, needs to measure the product:
#   benchmarks/cuda/prepare.sh --output_dir gpu [--data DATA] [--python 3.12]
# Copy it there and run: bash gpu/run.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
exec "$python" "$root/benchmarks/cuda/prepare.py" "$@"
