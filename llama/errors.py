"""The one exception for what a user got wrong about a checkpoint, a tokenizer or the way it is launched."""


class CheckpointError(ValueError):
    """A checkpoint, tokenizer or launch that cannot work; the message is one line for the user.

    `exit_status` is how the command line knows that the line is all a user needs, without a traceback.
    """

    exit_status = 2
