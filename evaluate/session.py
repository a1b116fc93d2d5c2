"""A session: one process with a loaded model, which runs of the same checkpoint share."""

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
    """The model of a run, and this process among all processes."""

    llama: LLaMA
    launch: Launch


class Session:
    """The model that the runs of a process share. Leaving the context without an error ends the process group.

    with Session() as session:
        loaded = session.load(run)
    """

    def __init__(self) -> None:
        self.model: Transformer | None = None
        self.key: tuple | None = None  # the inputs of the loaded model

    def load(self, run: Run) -> Loaded:
        """The model of a run, on this process's device. All ranks must call this."""
        launch = start(run.model_parallel_size)
        if launch.device.type == "cpu" and self.model is None:
            line = set_threads(run.options.threads)
            if line and launch.rank == 0:
                print(line, file=sys.stderr)
        key = (run.checkpoint.stamp(), run.dtype, run.max_seq_len, run.model_parallel_size)
        if self.model is None or key != self.key:
            self.model = None  # free the old model first: two may not fit into memory
            self.model, self.key = load_model(run.checkpoint, launch, run.dtype), key
        options = run.options
        llama = LLaMA(self.model, run.checkpoint.tokenizer, options.max_batch_size, options.max_batch_tokens)
        return Loaded(llama, launch)

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:  # after an error, other ranks may never reach the barrier
            finish()
