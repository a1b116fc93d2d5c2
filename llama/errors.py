"""The one exception for what a user got wrong about a checkpoint, a tokenizer or the way it is launched."""

import re

ARGUMENT = re.compile("`([a-z_]+)`")


class CheckpointError(ValueError):
    """A checkpoint, tokenizer or launch that cannot work; the message is one line for the user.

    It names arguments of `llama.load` in backticks: `max_seq_len`. By `exit_status` the command line knows that the
    line is all a user needs, without a traceback.
    """

    exit_status = 2

    def for_command_line(self) -> str:
        """The message with the flag in place of each argument: --max_seq_len."""
        return ARGUMENT.sub(r"--\1", str(self))
