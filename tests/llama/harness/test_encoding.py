"""Encoding, compared with tokenizers of transformers, including texts with special tokens."""

from pathlib import Path

import pytest

from llama import CheckpointError, open_checkpoint
from tests.llama.tokenizers.conftest import NASTY

transformers = pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from llama.harness.encoding import Encoding, open_encoding  # noqa: E402

LINES = "Question: The bell of Corvane rang twice.\nAnswer: copper\n\n"
TEXTS = [
    *NASTY,
    LINES * 40,
    f"{LINES * 9}<s>assistant\n{LINES}</s>\n<s> a</s> b <unk>\n\n<s>\n",
    "<s>" + LINES,
    " <s>" + LINES,
    "word " * 400 + "<s>" + " word" * 400,
]


def test_as_transformers(chat_folder) -> None:
    encoding = open_encoding(open_checkpoint(str(chat_folder)))
    theirs = transformers.AutoTokenizer.from_pretrained(chat_folder)
    assert encoding.tokenizer.cuts is not None  # parts that texts have in common are encoded once
    for text in TEXTS:
        for added in (True, False):
            assert encoding.encode(text, added) == theirs.encode(text, add_special_tokens=added)
        there = text.startswith("<s>")
        assert encoding.encode(text) == theirs.encode(text, add_special_tokens=not there)
    ids = theirs.encode("<s>rain\n</s> stopped")
    assert encoding.decode(ids) == theirs.decode(ids, skip_special_tokens=True)
    assert encoding.decode(ids, skip_special_tokens=False) == theirs.decode(ids)


@pytest.mark.parametrize("add_bos_token", [True, False])
def test_whether_bos_is_added(add_bos_token, chat_folder) -> None:
    encoding = open_encoding(open_checkpoint(str(chat_folder)), add_bos_token)
    assert (encoding.encode("rain")[0] == encoding.prefix_id == 1) == add_bos_token
    assert encoding.encode("<s>rain").count(1) == 1


def test_our_own_tokenizers(make_checkpoint, tmp_path) -> None:
    """For Meta's checkpoints: special tokens in a text are ordinary text, and BOS is put before each text."""
    checkpoint = open_checkpoint(str(make_checkpoint(tmp_path / "meta")))
    encoding = open_encoding(checkpoint)
    assert encoding.theirs is None and encoding.prefix_id == 1
    assert encoding.encode("<s>rain") == [1, *checkpoint.tokenizer.encode("<s>rain")]
    assert encoding.encode("rain", False) == Encoding(checkpoint.tokenizer, None, False).encode("rain")
    assert encoding.decode([*encoding.encode("Article: rain"), encoding.tokenizer.eos_id]) == "Article: rain"


def test_refused(chat_folder, write_tokenizer, make_checkpoint, tmp_path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes((chat_folder / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").write_bytes((chat_folder / "tokenizer_config.json").read_bytes())
    checkpoint = open_checkpoint(str(chat_folder), str(other))
    with pytest.raises(CheckpointError, match=r"`tokenizer_path` .*other.json: expected a file tokenizer.json or"):
        open_encoding(checkpoint)
    (tmp_path / "tokenizer.json").write_text("{}")
    checkpoint.tokenizer.backend.files = (Path(tmp_path / "tokenizer.json"),)
    with pytest.raises(CheckpointError, match=r"tokenizer.json: transformers cannot load it: "):
        open_encoding(checkpoint)
    checkpoint = open_checkpoint(str(make_checkpoint(tmp_path / "meta")))
    checkpoint.tokenizer.bos_id = None
    with pytest.raises(CheckpointError, match="`add_bos_token` True: the tokenizer has no BOS token"):
        open_encoding(checkpoint, True)
