"""The converted tokenizer gives the same ids as the tokenizer from which the GGUF file was written."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

from convert.gguf import GgufConfig, convert
from preprocess.errors import InputError

Make = Callable[..., Any]
TEXTS = [
    "The capital of France is Paris, since 1789 or 987.",
    "  1999 a\n\n 12's don't  stop 3.14\t x²½ ",
    "Ελληνικά, 日本語 ١٢٣ and emoji 👩‍👩‍👧 café",
    " rain stopped play in the 2nd set",
    "   ",
    "",
]


@pytest.fixture
def converted(make_model: Make, write_gguf: Make, tmp_path: Path) -> Callable[..., PreTrainedTokenizerFast]:
    """A function that writes a file with a tokenizer, converts it and opens the result: (**keys) -> tokenizer."""

    def make(keys: dict[str, Any], vocabulary: int | None = None) -> PreTrainedTokenizerFast:
        model = make_model(**({"vocab_size": vocabulary} if vocabulary else {}))
        path = write_gguf(tmp_path / "model.gguf", model, keys=keys)
        convert(GgufConfig(str(path), str(tmp_path / "made")))
        return AutoTokenizer.from_pretrained(tmp_path / "made")

    return make


def test_single_digits(converted: Make, byte_level: Tokenizer) -> None:
    """transformers alone splits "  19" into " " and " 19", which gives other ids."""
    tokenizer = converted({})
    for text in [*TEXTS, "a<|end|>b"]:
        assert tokenizer(text).input_ids == byte_level.encode(text).ids
    assert len(tokenizer) == byte_level.get_vocab_size()
    assert tokenizer.eos_token == "<|end|>"
    assert tokenizer.unk_token is None
    assert tokenizer.bos_token == "<|start|>"


@pytest.mark.parametrize(("add", "expected"), [(None, []), (False, []), (True, [1])])
def test_bos_as_in_the_file(add: bool | None, expected: list[int], converted: Make) -> None:
    tokenizer = converted({"tokenizer.ggml.add_bos_token": add})
    assert tokenizer("").input_ids == expected
    assert tokenizer.backend_tokenizer.encode("").ids == expected  # tokenizer.json alone says the same


@pytest.mark.parametrize("prefix", [None, False])
def test_sentencepiece(prefix: bool | None, converted: Make, tokenizer_path: Path) -> None:
    """With a space before the text in any case; BOS unless the file disables it."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_path))
    count = pieces.get_piece_size()
    kinds = [
        6 if pieces.is_byte(i) else 3 if pieces.is_control(i) else 2 if pieces.is_unknown(i) else 1
        for i in range(count)
    ]
    tokenizer = converted(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.pre": "default",
            "tokenizer.ggml.tokens": [pieces.id_to_piece(place) for place in range(count)],
            "tokenizer.ggml.scores": [pieces.get_score(place) for place in range(count)],
            "tokenizer.ggml.token_type": kinds,
            "tokenizer.ggml.merges": None,
            "tokenizer.ggml.bos_token_id": pieces.bos_id(),
            "tokenizer.ggml.eos_token_id": pieces.eos_id(),
            "tokenizer.ggml.eot_token_id": None,
            "tokenizer.ggml.unknown_token_id": 0,
            "tokenizer.ggml.add_space_prefix": prefix,
        },
        count,
    )
    for text in TEXTS:
        ids = tokenizer(text).input_ids
        if prefix is None:
            assert ids == [pieces.bos_id(), *pieces.encode(text)], text
        elif text and text[0] != " ":
            assert ids[1] != pieces.encode(text)[0]


def test_removed_whitespace_is_refused(converted: Make) -> None:
    with pytest.raises(InputError, match="remove_extra_whitespaces is not supported"):
        converted(
            {
                "tokenizer.ggml.model": "llama",
                "tokenizer.ggml.remove_extra_whitespaces": True,
                "tokenizer.ggml.scores": [0.0] * 362,
            }
        )


def test_a_lost_token_is_refused(converted: Make, tokenizer_keys: dict[str, Any]) -> None:
    """A special token outside the byte alphabet, which transformers changes and never finds in a text."""
    tokens = ["<｜end▁of▁text｜>", *tokenizer_keys["tokenizer.ggml.tokens"][1:]]
    with pytest.raises(InputError, match="token 0, '<｜end▁of▁text｜>', is lost"):
        converted({"tokenizer.ggml.tokens": tokens})


@pytest.mark.slow
def test_llama_3(converted: Make, data: Path) -> None:
    """Whole words that merges do not produce, BOS without a key for it, no token beyond the vocabulary."""
    path = data / "llama3_tokenizer/tokenizer.model"
    ranks = [base64.b64decode(line.split()[0]) for line in path.read_bytes().splitlines()]
    oracle = TikTokenConverter(vocab_file=str(path)).converted()
    content = json.loads(oracle.to_str())["model"]
    special = ["<|begin_of_text|>", "<|end_of_text|>"]
    tokens = [token for token, _ in sorted(content["vocab"].items(), key=lambda item: item[1])] + special
    tokenizer = converted(
        {
            "tokenizer.ggml.pre": "llama-bpe",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [1] * len(ranks) + [3, 3],
            "tokenizer.ggml.merges": [" ".join(merge) for merge in content["merges"]],
            "tokenizer.ggml.bos_token_id": len(ranks),
            "tokenizer.ggml.eos_token_id": len(ranks) + 1,
            "tokenizer.ggml.eot_token_id": None,
        },
        len(tokens),
    )
    tiktoken = pytest.importorskip("tiktoken")
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    encoding = tiktoken.Encoding(
        "llama3", pat_str=pattern, mergeable_ranks={rank: i for i, rank in enumerate(ranks)}, special_tokens={}
    )
    news = (data / "ag_news/test.csv").read_text(encoding="utf-8").splitlines()[:500]
    for text in [*TEXTS, *news, " ".join(tokens[i].replace("Ġ", " ") for i in range(100000, 100200))]:
        assert tokenizer(text).input_ids == [len(ranks), *encoding.encode(text)], text
    assert len(tokenizer) == len(tokens)
