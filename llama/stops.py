"""Where an answer ends that the model writes: at the first stop string."""

from collections.abc import Sequence


def find_stop(text: str, stops: Sequence[str]) -> int | None:
    """The place of the first stop string in `text`; None where there is none.

    A stop string of white space alone counts once something else was written: many answers begin with a line break.
    """
    begin = len(text) - len(text.lstrip())
    places = [text.find(stop, 0 if stop.strip() else begin) for stop in stops]
    return min((place for place in places if place >= 0), default=None)


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """What stands before the first stop string; all of `text` where there is none."""
    return text[: find_stop(text, stops)]
