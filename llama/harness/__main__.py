"""lm-evaluation-harness's command line, with the engine as its model `llama`.

python -m llama.harness --model llama --model_args ckpt_dir=HuggingFaceTB/SmolLM2-135M --tasks hellaswag
torchrun --nproc_per_node 2 -m llama.harness --model llama --model_args ckpt_dir=7B --tasks mmlu --num_fewshot 5
"""

import os
import sys
import time
from pathlib import Path

from llama.errors import ARGUMENT, CheckpointError

USAGE_ERROR, INTERRUPTED = 2, 130
SECONDS_FOR_RANK_0 = 10.0  # to say the line that all ranks have to say, before torchrun ends it


def main() -> None:
    """Parse, evaluate, exit: 0; 2 with one line for what a user can mend; 130 for Ctrl-C."""
    leave_checkout()
    try:
        run()
    except KeyboardInterrupt:
        leave(INTERRUPTED, "interrupted")
    except CheckpointError as error:
        message = ARGUMENT.sub(r"--model_args \1", " ".join(str(error).split()))
        leave(error.exit_status, f"error: {message}")


def run() -> None:
    """The harness's own command line, which may end the program. What is wrong with a task is its own to say."""
    try:
        from lm_eval.__main__ import cli_evaluate

        import llama.harness.model  # noqa: F401 - registers the model
    except ImportError as error:
        leave(USAGE_ERROR, f"error: {error}: pip install '.[harness]' in the project's folder has what is needed")
    from llama.parallel import finish

    cli_evaluate()
    finish()


def leave_checkout() -> None:
    """Take the folder of this package off the path where a folder `evaluate` stands beside it: the harness needs the
    PyPI package of that name."""
    folder = Path(__file__).resolve().parents[2]
    if (folder / "evaluate" / "__init__.py").is_file() and (folder / "preprocess").is_dir():
        sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != folder]


def leave(status: int, line: str) -> None:
    """Say the line once, on rank 0, and end at once: after an error there is no barrier to wait at."""
    if int(os.environ.get("RANK", 0)) == 0:
        print(line, file=sys.stderr, flush=True)
    elif status != INTERRUPTED:  # a terminal interrupts all ranks at once
        time.sleep(SECONDS_FOR_RANK_0)
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
