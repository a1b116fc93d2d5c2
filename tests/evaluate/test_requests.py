"""Prompts -> token ids, compared with sentencepiece on the whole string and with a loop that drops word by word."""

import random

import pytest

from evaluate.requests import encode
from llama import Tokenizer
from preprocess.errors import InputError
from preprocess.prompts import read_prompts

METHODS = ("direct", "channel", "generate")


@pytest.fixture
def encode_rows(write_prompts, checkpoint):
    """A function: (method, rows, max_seq_len, room=0) -> Encoded."""

    def run(method, rows, max_seq_len, room=0):
        form = "channel" if method == "channel" else "direct"
        prompts = read_prompts(write_prompts(form, rows), form)
        return encode(prompts, method, Tokenizer(checkpoint / "tokenizer.model"), max_seq_len, "x.json", room)

    return run


def expected(definition, method, row, text):
    """Ids of the whole string for each label word; for generate, ids of the prompt."""
    pairs = definition.pairs(row, text)
    if method == "generate":
        return [definition.tokens(pairs[0][0], "")]
    return [definition.tokens(prompt, completion) for prompt, completion in pairs]


def whole(requests):
    return [[*request.context, *request.target] for request in requests]


@pytest.mark.parametrize("method", METHODS)
def test_tokens_are_those_of_the_joint_text(encode_rows, make_rows, definition, method):
    """For any text: BOS once, no EOS, and the target starts where the prompt's own tokens end."""
    rows = make_rows("channel" if method == "channel" else "direct")
    encoded = encode_rows(method, rows, 10_000)
    assert encoded.cut == []
    for row, requests in zip(rows, encoded.requests, strict=True):
        assert whole(requests) == expected(definition, method, row, row["text"]), row["id"]
        assert [len(request.context) for request in requests] == [
            len(definition.tokens(prompt, "")) for prompt, _ in definition.pairs(row, row["text"])[: len(requests)]
        ]


@pytest.mark.parametrize("room", [0, 8])
@pytest.mark.parametrize("method", METHODS)
def test_over_long_text_keeps_as_many_words_as_fit(encode_rows, make_rows, definition, monkeypatch, method, room):
    """One cut for all label words, the same as removing words from the end until the longest one fits."""
    draw = random.Random(0)
    words = ["rain", "today", "x", "Sportsmen", "market,", "\n", "  ", "stopped\tplay", "é" * 9]
    texts = {f"{n}": "".join(draw.choice(words) + " " for _ in range(n)).lstrip() for n in range(0, 60, 3)}
    texts["blank end"] = "rain stopped" + "\n" * 90
    rows = make_rows("channel" if method == "channel" else "direct", texts)
    monkeypatch.setattr(definition, "max_seq_len", 100)
    encoded = encode_rows(method, rows, 100, room)
    kept = [definition.cut(row, room, method == "generate") for row in rows]
    for row, requests, text in zip(rows, encoded.requests, kept, strict=True):
        assert whole(requests) == expected(definition, method, row, text), row["id"]
    assert encoded.cut == [row["id"] for row, text in zip(rows, kept, strict=True) if text != row["text"]]
    assert 5 < len(encoded.cut) < len(rows)


def test_label_words_are_compared_on_the_same_text_and_never_cut(encode_rows, make_rows, definition):
    label_words = ["World", "Science and technology " * 4 + "today"]
    (row,) = make_rows("direct", {"long": "rain stopped play today " * 50}, label_words)
    short, long = encode_rows("direct", [row], 120).requests[0]
    assert short.context == long.context
    assert short.length < long.length <= 120
    read = definition.sp.decode([*long.context, *long.target])
    demonstration = row["prompt"].removesuffix("{text}\nCategory:")
    assert read.startswith(f"{demonstration}rain stopped play")
    assert read.endswith(f"\nCategory: {label_words[1]}")


@pytest.mark.parametrize(("method", "room"), [("direct", 0), ("channel", 0), ("generate", 8)])
def test_no_room_even_without_the_text(encode_rows, make_rows, definition, method, room):
    """The smallest sufficient length is accepted; one token less is an error with the id and both numbers."""
    rows = make_rows("channel" if method == "channel" else "direct", {"a": "", "b": "today " * 99})
    needed = max(map(len, expected(definition, method, rows[0], ""))) + room
    assert encode_rows(method, rows, needed, room).cut == ["b"]
    with pytest.raises(InputError, match=rf"x.json: id 'a' needs {needed} tokens .* --max_seq_len allows {needed - 1}"):
        encode_rows(method, rows, needed - 1, room)
