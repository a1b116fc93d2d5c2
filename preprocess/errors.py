"""The one exception for input that a user can mend, and what others have to say as its one line."""


class InputError(ValueError):
    """A file, a flag or a row that cannot be used; the message is one line that names it and what was expected.

    `exit_status` is how the command line knows that the line is all a user needs, without a traceback.
    """

    exit_status = 2


def first_line(error: BaseException) -> str:
    """What an exception of a library says, in one line; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
