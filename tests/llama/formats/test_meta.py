"""Every error in a folder is one line that names the file, before anything is loaded."""

import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from llama import CheckpointError, open_checkpoint

EMBEDDING, NORM, W1 = "tok_embeddings.weight", "norm.weight", "layers.0.feed_forward.w1.weight"
Change = Callable[[dict], None]

NARROW = {EMBEDDING: torch.ones(384, 30)}
HIGH = {EMBEDDING: torch.ones(400, 32), "output.weight": torch.ones(400, 32)}
BROKEN_WEIGHTS: dict[str, tuple[Change, str]] = {
    "missing": (lambda weights: weights.pop(W1), rf"weight {W1} is missing \(1 in all\)"),
    "extra": (lambda weights: weights.update(bias=weights[NORM]), r"unexpected weight bias .* \(1 in all\)"),
    "layer too many": (lambda weights: weights.update({W1.replace("0", "2"): weights[W1]}), r"weight layers\.2\.feed"),
    "other shape": (
        lambda weights: weights.update({W1: weights[W1][:-1]}),
        rf"{W1} has shape \(87, 32\), expected \(88, 32\) from params\.json and 1 shard\(s\)$",
    ),
    "other rank": (lambda weights: weights.update({NORM: weights[NORM][None]}), r"norm\.weight has shape \(1, 32\), "),
    "integers": (lambda weights: weights.update({W1: weights[W1].int()}), rf"{W1} is torch\.int32, expected floating"),
    "narrow embedding": (
        lambda weights: weights.update(NARROW),
        r"has shape \(384, 30\), expected \(384, 32\) from .*$",
    ),
    "other vocabulary": (
        lambda weights: weights.update(HIGH),
        r"tok_embeddings\.weight has shape \(400, 32\), expected \(384, 32\) from .*;"
        r" the tokenizer has 384 pieces, the embedding 400 rows: they do not match",
    ),
    "no tensor": (lambda weights: weights.update({NORM: 1.0}), "expected a dictionary of tensors"),
    "no name": (lambda weights: weights.update({1: weights[NORM]}), "expected a dictionary of tensors"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN_WEIGHTS.values(), ids=BROKEN_WEIGHTS)
def test_wrong_weights(change, message, folder, change_weights, refusal) -> None:
    change_weights(folder, change)
    assert re.match(f"{folder}/consolidated.00.pth: .*{message}", refusal(folder))


def test_each_shard_is_checked(sharded, change_weights, refusal) -> None:
    change_weights(sharded, lambda weights: weights.update({W1: weights[W1][:-1]}), shard=1)
    message = refusal(sharded)
    assert message.startswith(f"{sharded}/consolidated.01.pth: {W1} has shape (43, 32), ")
    assert message.endswith("expected (44, 32) from params.json and 2 shard(s)")


def test_shards_that_cannot_be_equal(sharded, refusal) -> None:
    shutil.copy(sharded / "consolidated.01.pth", sharded / "consolidated.02.pth")
    assert f"{EMBEDDING} (384, 32) cannot be split into 3 equal shards" in refusal(sharded)


@pytest.mark.parametrize(("shard", "absent"), [(0, "00"), (1, "01")])
def test_missing_shard(shard, absent, sharded, refusal) -> None:
    shutil.copy(sharded / "consolidated.01.pth", sharded / "consolidated.02.pth")
    (sharded / f"consolidated.{shard:02d}.pth").unlink()
    assert refusal(sharded).startswith(f"{sharded}: consolidated.{absent}.pth is missing, found consolidated.")


def test_last_shard_missing(sharded, refusal) -> None:
    (sharded / "consolidated.01.pth").unlink()  # only the shapes reveal it
    assert "has shape (384, 16), expected (384, 32) from params.json and 1 shard(s)" in refusal(sharded)


def test_folder_without_weights(folder, refusal) -> None:
    (folder / "consolidated.00.pth").unlink()
    assert refusal(folder) == f"{folder}: contains no consolidated.NN.pth"


def test_params_are_checked(folder, change_params, refusal) -> None:
    change_params(folder, n_head=4)
    assert refusal(folder).startswith(f"{folder / 'params.json'}: unknown key 'n_head'")
    (folder / "params.json").unlink()
    assert refusal(folder).startswith(f"{folder / 'params.json'}: no such file")


def test_vocabulary_of_params_is_not_the_tokenizers(folder, change_params, refusal) -> None:
    change_params(folder, vocab_size=400)
    assert refusal(folder) == f"{folder / 'params.json'}: vocab_size is 400, the tokenizer has 384 pieces"


class Code:
    """An object that creates a file if it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["archive", "old form", "bare pickle"])
def test_pickled_code_is_refused_and_not_run(form, folder, tmp_path, refusal) -> None:
    path, proof = folder / "consolidated.00.pth", tmp_path / "the code ran"
    if form == "bare pickle":
        path.write_bytes(pickle.dumps({NORM: Code(proof)}))
    else:
        torch.save({NORM: Code(proof)}, path, _use_new_zipfile_serialization=form == "archive")
    assert re.match(f"{path}: .*(refused, nothing was run|nothing in it was run)$", refusal(folder))
    assert not proof.exists()


def test_damaged_files(folder, refusal) -> None:
    path = folder / "consolidated.00.pth"
    whole = path.read_bytes()
    for length in (4, 5000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert refusal(folder).startswith(f"{path}: damaged or truncated: ")
    path.write_bytes(whole.replace(b"norm.weight", b"norm\xff\xffeight", 1))  # no text any more: another exception
    assert refusal(folder).startswith(f"{path}: damaged or truncated: ")
    for other in (b"", b"PK"):
        path.write_bytes(other)
        assert refusal(folder).startswith(f"{path}: not a torch.save archive")


@pytest.mark.parametrize("name", ["consolidated.00.pth", "tokenizer.model", "params.json"])
def test_git_lfs_pointers(name, folder, refusal) -> None:
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    expected = f"{folder / name}: is a Git LFS pointer, not the file itself; run `git lfs pull`"
    assert refusal(folder) == expected


@pytest.mark.parametrize(
    ("params", "size", "message"),
    [
        ({}, 3, "n_heads, 4"),
        ({"n_kv_heads": 1}, 2, "n_kv_heads, 1"),
        ({"multiple_of": 1}, 2, "the hidden dimension, 85"),
    ],
)
def test_model_parallel_size_is_checked(params, size, message, make_checkpoint, tmp_path) -> None:
    folder = make_checkpoint(tmp_path, **params)
    with pytest.raises(CheckpointError, match=f"^`model_parallel_size` {size} does not divide {message}$"):
        open_checkpoint(str(folder)).model_parallel_size(size, size)


def test_vocabulary_that_no_rank_can_share(make_checkpoint, tmp_path) -> None:
    folder = make_checkpoint(tmp_path, n_heads=5, dim=40, multiple_of=5)
    with pytest.raises(CheckpointError, match=r"^`model_parallel_size` 5 does not divide the vocabulary, 384$"):
        open_checkpoint(str(folder)).model_parallel_size(5, 5)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda weight: weight.to_sparse(), "norm.weight is sparse, expected a dense tensor"),
        (
            lambda weight: weight[:1].expand(2**30),
            r"norm\.weight has 4,294,967,296 bytes",
        ),
    ],
)
def test_tensors_outside_the_file_are_refused(make_checkpoint, tmp_path, change, line) -> None:
    folder = make_checkpoint(tmp_path / "made")
    path = folder / "consolidated.00.pth"
    weights = torch.load(path, weights_only=True)
    weights["norm.weight"] = change(weights["norm.weight"])
    torch.save(weights, path)
    with pytest.raises(CheckpointError, match=line):
        open_checkpoint(str(folder))


def test_an_archive_that_unpacks_to_more_is_refused(make_checkpoint, tmp_path) -> None:
    """Before it is read."""
    folder = make_checkpoint(tmp_path / "made")
    path = folder / "consolidated.00.pth"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(CheckpointError, match=r"\.pth: is compressed, expected an uncompressed torch\.save archive$"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ('"n_layers": 1000000000', "n_layers is 1,000,000,000, expected at most 4,096"),
        ('"max_seq_len": 1000000000', "max_seq_len is 1,000,000,000, expected at most 4,194,304"),
        ('"ffn_dim_multiplier": Infinity', "ffn_dim_multiplier is inf, expected a number above 0 and below"),
        ('"ffn_dim_multiplier": NaN', "ffn_dim_multiplier is nan, expected a number above 0$"),
        (f'"dim": 1{"0" * 300}', "dim is 10+, expected a number above 0 and below"),
    ],
)
def test_shapes_have_bounds(make_checkpoint, tmp_path, entry, line) -> None:
    folder = make_checkpoint(tmp_path / "made")
    path = folder / "params.json"
    path.write_text(path.read_text()[:-1] + f", {entry}}}")
    with pytest.raises(CheckpointError, match=rf"params\.json: {line}"):
        open_checkpoint(str(folder))
