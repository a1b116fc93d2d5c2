"""The exception for user errors in files, flags and rows."""


class InputError(ValueError):
    """An invalid file, flag or row; the message is one line that names it and what was expected.

    `exit_status` tells the command line to print the message without a traceback.
    """

    exit_status = 2


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
