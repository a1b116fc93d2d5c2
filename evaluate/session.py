"""One process and the model that it holds: runs of the same checkpoint load it once."""

import sys
from types import TracebackType
from typing import NamedTuple

from evaluate.run import Run
from evaluate.threads import set_threads
from llama import LLaMA
from llama.llama import load_model
from llama.model import Transformer
from llama.parallel import Launch, finish, start


class Loaded(NamedTuple):
    """The model of a run, and this process among those that compute it."""

    llama: LLaMA
    launch: Launch


class Session:
    """What the runs of one process share. Left without an error, the process leaves the process group.

    with Session() as session:
        loaded = session.load(run)
    """

    def __init__(self) -> None:
        self.model: Transformer | None = None
        self.key: tuple | None = None  # what the model was made from

    def load(self, run: Run) -> Loaded:
        """The model of a run on this process's device. From here on all ranks compute together."""
        launch = start(run.model_parallel_size)
        if launch.device.type == "cpu" and self.model is None:
            line = set_threads(run.options.threads)
            if line and launch.rank == 0:
                print(line, file=sys.stderr)
        key = (run.identity["fingerprint"], run.dtype, run.max_seq_len, run.model_parallel_size)
        if self.model is None or key != self.key:
            self.model = None  # before the next one is made: two would not fit
            self.model, self.key = load_model(run.checkpoint, launch, run.dtype), key
        options = run.options
        llama = LLaMA(self.model, run.checkpoint.tokenizer, options.max_batch_size, options.max_batch_tokens)
        return Loaded(llama, launch)

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:  # else the other ranks may never reach the barrier
            finish()
