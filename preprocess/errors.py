"""The one exception for input that a user can mend."""


class InputError(ValueError):
    """A file, a flag or a row that cannot be used; the message is one line that names it and what was expected.

    `exit_status` is how the command line knows that the line is all a user needs, without a traceback.
    """

    exit_status = 2
