"""The command line of lm-evaluation-harness, with the engine as the model `llama`.

python -m llama.harness --model llama --model_args ckpt_dir=HuggingFaceTB/SmolLM2-135M --tasks hellaswag
torchrun --nproc_per_node 2 -m llama.harness --model llama --model_args ckpt_dir=7B --tasks mmlu --num_fewshot 5
"""

import os
import sys
import time
from pathlib import Path

from llama.errors import ARGUMENT, CheckpointError

USAGE_ERROR, INTERRUPTED = 2, 130
SECONDS_FOR_RANK_0 = 10.0  # to print its line before torchrun ends it


def main() -> None:
    """Run the harness and exit: 0; 2 with a one-line message for user errors; 130 for Ctrl-C."""
    leave_checkout()
    try:
        run()
    except KeyboardInterrupt:
        leave(INTERRUPTED, "interrupted")
    except CheckpointError as error:
        message = ARGUMENT.sub(r"--model_args \1", " ".join(str(error).split()))
        leave(error.exit_status, f"error: {message}")


def run() -> None:
    """Run the harness's command line. Its own errors, such as unknown tasks, are raised as they are."""
    try:
        from lm_eval.__main__ import cli_evaluate

        import llama.harness.model  # noqa: F401 - registers the model
    except ImportError as error:
        leave(USAGE_ERROR, f"error: {error}: run pip install '.[harness]' in the folder of the project")
    from llama.parallel import finish

    cli_evaluate()
    finish()


def leave_checkout() -> None:
    """Remove a checkout of the project from `sys.path`: its folder `evaluate` hides the package of that name, which the
    harness needs."""
    folder = Path(__file__).resolve().parents[2]
    if (folder / "evaluate" / "__init__.py").is_file() and (folder / "preprocess").is_dir():
        sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != folder]


def leave(status: int, line: str) -> None:
    """Print the line on rank 0 only, and exit without a barrier, which other ranks may never reach."""
    if int(os.environ.get("RANK", 0)) == 0:
        print(line, file=sys.stderr, flush=True)
    elif status != INTERRUPTED:  # a terminal interrupts all ranks at once
        time.sleep(SECONDS_FOR_RANK_0)
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
