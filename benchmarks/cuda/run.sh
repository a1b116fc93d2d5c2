#!/usr/bin/env bash
# On a machine with Python, PyTorch and a GPU: installs into this folder what is missing, then tests and measures.
#   bash run.sh [--output_dir results] [--seconds 450] [--device cuda] [--shape full]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
begin=$(date +%s)
"$python" "$here/code/benchmarks/cuda/install.py" "$here/wheels" "$here/site"
export PYTHONPATH="$here/site" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
exec "$python" "$here/code/benchmarks/cuda/run.py" --folder "$here" --begin "$begin" "$@"
