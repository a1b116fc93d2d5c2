"""The exception for user errors in a checkpoint, a tokenizer or the launch."""

import re

ARGUMENT = re.compile("`([a-z_]+)`")


class CheckpointError(ValueError):
    """An invalid checkpoint, tokenizer or launch; the message is one line for the user.

    It names arguments of `llama.load` in backticks: `max_seq_len`. `exit_status` tells the command line to print the
    message without a traceback.
    """

    exit_status = 2

    def for_command_line(self) -> str:
        """The message with flags instead of arguments: --max_seq_len."""
        return ARGUMENT.sub(r"--\1", str(self))
