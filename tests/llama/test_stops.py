"""Where an answer ends."""

import pytest

from llama.stops import cut_at_stop, find_stop


@pytest.mark.parametrize(
    ("text", "stops", "answer"),
    [
        ("World\nArticle: x", ["\n"], "World"),
        ("\n\n  World\nArticle", ["\n"], "\n\n  World"),
        ("\n", ["\n"], "\n"),
        (" World", ["\n"], " World"),
        ("World", [], "World"),
        ("World. Sports", [".", "\n"], "World"),
        ("\nArticle: x", ["\nArticle:"], ""),
        ("###\nWorld", ["###", "\n"], ""),
        ("a\n\nb\nc", ["\n\n"], "a"),
        ("", ["\n"], ""),
    ],
)
def test_the_answer_stands_before_the_first_stop_string(text, stops, answer) -> None:
    assert cut_at_stop(text, stops) == answer
    assert (find_stop(text, stops) is None) == (answer == text)
