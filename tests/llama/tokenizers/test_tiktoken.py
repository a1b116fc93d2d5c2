"""Llama 3's tokenizer: tiktoken itself is the oracle, on the file that Meta ships."""

import base64
from pathlib import Path

import pytest
import tiktoken
from tiktoken.load import load_tiktoken_bpe

from llama import CheckpointError, Tokenizer
from llama.tokenizers.tiktoken import LONGEST_RUN, LONGEST_TEXT, SPLIT, cut_runs

RANKS = b"".join(base64.b64encode(bytes([byte])) + b" %d\n" % byte for byte in range(256))


@pytest.fixture(scope="module")
def path(data: Path) -> Path:
    return data / "llama3_tokenizer/tokenizer.model"


@pytest.fixture(scope="module")
def llama3(path) -> Tokenizer:
    return Tokenizer(path)


@pytest.fixture(scope="module")
def theirs(path) -> tiktoken.Encoding:
    return tiktoken.Encoding("oracle", pat_str=SPLIT, mergeable_ranks=load_tiktoken_bpe(str(path)), special_tokens={})


def test_special_ids(llama3) -> None:
    assert (llama3.n_words, llama3.bos_id, llama3.eos_id) == (128256, 128000, 128001)
    assert llama3.end_ids == {128001, 128008, 128009}


def test_ids_are_tiktokens(llama3, theirs, texts) -> None:
    """Except in runs of more than 25,000 characters, which are split."""
    for text in texts:
        parts = [text] if len(text) <= LONGEST_RUN else cut_runs(text)
        expected = [token for part in parts for token in theirs.encode_ordinary(part)]
        assert list(llama3.encode(text)) == expected, text[:50]
        assert llama3.decode(expected) == text


def test_half_a_surrogate_pair_is_replaced(llama3) -> None:
    assert llama3.decode(llama3.encode("rain \ud83d stopped")) == "rain \ufffd stopped"


def test_special_tokens_in_a_text_are_text(llama3) -> None:
    ids = llama3.encode("a<|eot_id|>b<|begin_of_text|>")
    assert max(ids) < 128000
    assert llama3.decode(ids) == "a<|eot_id|>b<|begin_of_text|>"
    assert llama3.decode((128000, *ids, 128009)) == "a<|eot_id|>b<|begin_of_text|>"  # those of a sequence are not


def test_long_runs_are_split_as_in_metas_code() -> None:
    """A slow copy of the rule: after 25,000 characters without a change between space and non-space."""
    for text in ("x" * 60_000, " " * 25_000 + "x", "x" * 25_001 + " y", "ab " * 20_000, "", " x" + "\n" * 50_000):
        expected, start, run = [], 0, 0
        for place, character in enumerate(text):
            same = place > 0 and character.isspace() == text[place - 1].isspace()
            run = run + 1 if same else 1
            if run > LONGEST_RUN:
                expected.append(text[start:place])
                start, run = place, 1
        assert list(cut_runs(text)) == [*expected, text[start:]]


def test_a_text_of_a_million_characters(llama3) -> None:
    text = "rain stopped play\n" * 30_000 + "x" * (LONGEST_TEXT + 5)
    assert llama3.decode(llama3.encode(text)) == text


def test_prompt_and_completion(llama3, theirs) -> None:
    """The space before a completion is part of its first token."""
    context, target = llama3.encode_pair("Article: rain stopped play\nCategory:", "Sports")
    assert context == (128000, *theirs.encode_ordinary("Article: rain stopped play\nCategory:"))
    assert target == tuple(theirs.encode_ordinary(" Sports"))
    assert llama3.decode(target) == " Sports"
    assert llama3.decode_continuation(target) == "Sports"
    # BPE merges across the border: ")\n" and "\n" are one token, so the split is before it
    context, target = llama3.encode_pair("a (b)\n", "\nc", separator="")
    assert (*context[1:], *target) == tuple(theirs.encode_ordinary("a (b)\n\nc"))
    assert llama3.decode(context) == "a (b"
    assert llama3.encode_pair("", "World") == ((128000,), tuple(theirs.encode_ordinary("World")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (RANKS + b"YWI= x\n", r"line 257: expected base64 and a rank"),
        (RANKS + b"YWI=\n", r"line 257: expected base64 and a rank"),
        (RANKS + b"\xff 256\n", r"line 257: expected base64 and a rank"),
        (RANKS + b"YWI= 300\n", r"the ranks are not 0 to 256, each once"),
        (RANKS.replace(b"YQ== ", b"YWE= "), r"byte 97 has no rank"),
    ],
)
def test_damaged_ranks(content, message, tmp_path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{path}: {message}"):
        Tokenizer(path)


def test_without_the_package(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tiktoken", None)
    path = tmp_path / "tokenizer.model"
    path.write_bytes(RANKS)
    with pytest.raises(CheckpointError, match=f"^{path}: needs the package tiktoken, .*: pip install tiktoken$"):
        Tokenizer(path)
