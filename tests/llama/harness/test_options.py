"""--model_args, as the harness parses them, and other flags of the harness."""

import re
from dataclasses import fields

import pytest
import torch

from llama import CheckpointError
from llama.harness.options import ModelOptions, check_batch_size, check_device, read_max_batch_size, read_options


def test_read() -> None:
    options = read_options({"pretrained": 7, "revision": 1.5, "dtype": "bfloat16", "max_length": 512})
    assert (options.ckpt_dir, options.revision, options.dtype, options.max_seq_len) == ("7", "1.5", "bfloat16", 512)
    given = {"ckpt_dir": "a", "max_seq_len": 8, "max_batch_tokens": 9, "model_parallel_size": 2, "add_bos_token": False}
    options = read_options(given | {"tokenizer_path": "b"})
    assert {name: getattr(options, name) for name in given} == given
    assert (options.tokenizer_path, options.dtype, options.revision) == ("b", "auto", None)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "model_args: ckpt_dir is missing, a checkpoint's folder or OWNER/NAME on the hub"),
        (
            {"ckpt_dir": "a", "load_in_4bit": True},
            "model_args: load_in_4bit is unknown; expected ckpt_dir, revision, tokenizer_path, dtype, max_seq_len,"
            " max_batch_tokens, model_parallel_size, add_bos_token",
        ),
        (
            {"ckpt_dir": "a", "pretrained": "b"},
            "model_args: pretrained is another name of ckpt_dir, which is given as well",
        ),
        ({"ckpt_dir": True}, "`ckpt_dir` True: expected text"),
        ({"ckpt_dir": "a", "dtype": "int4"}, "`dtype` int4: expected auto, float32, bfloat16, float16, int8"),
        ({"ckpt_dir": "a", "max_length": "long"}, "`max_length` long: expected a whole number of 1 or more"),
        ({"ckpt_dir": "a", "max_seq_len": 0}, "`max_seq_len` 0: expected a whole number of 1 or more"),
        ({"ckpt_dir": "a", "max_batch_tokens": True}, "`max_batch_tokens` True: expected a whole number"),
        ({"ckpt_dir": "a", "add_bos_token": "yes"}, "`add_bos_token` yes: expected True or False"),
    ],
)
def test_refused(given, line) -> None:
    with pytest.raises(CheckpointError) as refused:
        read_options(given)
    assert str(refused.value).startswith(line)


def test_the_guide_explains_each(root) -> None:
    section = (root / "docs/harness.md").read_text().split("## --model_args\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == [field.name for field in fields(ModelOptions)]


def test_batch_size() -> None:
    for size in (1, "8", "auto", "auto:4", "auto:0.5"):
        check_batch_size(size)
    for size in (0, "-1", "1.5", "automatic", "auto:", ""):
        with pytest.raises(CheckpointError, match=f"--batch_size {size}: expected a whole number of 1 or more, auto"):
            check_batch_size(size)
    assert (read_max_batch_size(None), read_max_batch_size(4)) == (None, 4)
    with pytest.raises(CheckpointError, match="--max_batch_size 0: expected a whole number of 1 or more"):
        read_max_batch_size(0)


@pytest.mark.parametrize("cuda", [False, True])
def test_device(cuda, monkeypatch) -> None:
    """cuda:0 is the default of the harness."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    for device in (None, "cuda", "cuda:0"):
        check_device(device)
    for device in ("mps", "cuda:1", *(["cpu"] if cuda else [])):
        with pytest.raises(
            CheckpointError,
            match=f"--device {device}: expected .*cuda:0; to choose a CUDA device, set CUDA_VISIBLE_DEVICES",
        ):
            check_device(device)
