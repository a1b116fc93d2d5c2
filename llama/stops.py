"""Stop strings: where a generated answer ends."""

from collections.abc import Sequence


def find_stop(text: str, stops: Sequence[str]) -> int | None:
    """The index of the first stop string in `text`; None if there is none.

    A stop string of white space does not count before the first other character: many answers begin with a line break.
    """
    begin = len(text) - len(text.lstrip())
    places = [text.find(stop, 0 if stop.strip() else begin) for stop in stops]
    return min((place for place in places if place >= 0), default=None)


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """`text` up to the first stop string, or all of it."""
    return text[: find_stop(text, stops)]
