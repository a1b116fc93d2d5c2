"""Checkpoints: located by name, divided among ranks, distinguished by fingerprints."""

import shutil
from pathlib import Path

import pytest
import torch

from llama import CheckpointError, load, open_checkpoint
from llama.checkpoint import load_weights, resolve_dtype
from llama.formats.location import find_folder
from llama.formats.weights import part

EMBEDDING, NORM = "tok_embeddings.weight", "norm.weight"


def test_name_is_a_path_or_in_checkpoints(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("checkpoints/llama/7B", "checkpoints/7B", "7B"):  # the later, the stronger
        Path(place).mkdir(parents=True)
        assert find_folder("7B") == Path(place)
    assert find_folder(str(tmp_path / "7B")) == tmp_path / "7B"


def test_folder_missing_lists_the_candidates(tmp_path, monkeypatch, refusal) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal("7B") == "`ckpt_dir` 7B: no such folder; looked at 7B, checkpoints/7B, checkpoints/llama/7B"


def test_tokenizer_given_or_in_the_folder_or_its_parent(folder, tmp_path, refusal) -> None:
    own, parents = folder / "tokenizer.model", tmp_path / "tokenizer.model"
    parents.write_bytes(own.read_bytes())
    assert open_checkpoint(str(folder)).tokenizer.backend.files == (own,)
    own.unlink()
    assert open_checkpoint(str(folder)).tokenizer.backend.files == (parents,)
    parents.unlink()
    assert refusal(folder) == f"`tokenizer_path`: not given, and neither {own} nor {parents} exists"
    assert refusal(folder, tokenizer_path="else.model") == "else.model: no such tokenizer file (`tokenizer_path`)"


def test_metas_own_extras_are_ignored(folder, change_weights, change_params) -> None:
    """Rotary tables of both formats among the weights, checksums beside them, the vocabulary size unset."""
    (folder / "checklist.chk").write_text("0123  consolidated.00.pth\n")
    tables = {"rope.freqs": torch.ones(4), "layers.1.attention.inner_attention.rope.freqs": torch.ones(4)}
    change_weights(folder, lambda weights: weights.update(tables))
    change_params(folder, vocab_size=-1)
    checkpoint = open_checkpoint(str(folder))
    assert checkpoint.args.vocab_size == checkpoint.tokenizer.n_words == 384
    assert "rope.freqs" not in load_weights(checkpoint, 0, 1, torch.float32, torch.device("cpu"))
    assert checkpoint.name == "random"


def test_max_seq_len(folder, sharded, refusal) -> None:
    assert open_checkpoint(str(folder)).args.max_seq_len == 64
    assert open_checkpoint(str(folder), max_seq_len=10).args.max_seq_len == 10
    assert open_checkpoint(str(sharded)).args.max_seq_len == 1024
    assert open_checkpoint(str(sharded), max_seq_len=5000).args.max_seq_len == 5000
    message = refusal(folder, max_seq_len=65)
    assert message == f"`max_seq_len` 65: {folder / 'params.json'} allows at most 64"


@pytest.mark.parametrize("joined", [0, 1])
@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("shards", [1, 2, 3, 4])
def test_part_is_a_chunk_of_the_whole(shards, ranks, cut, joined) -> None:
    """Llama 1 and 2 shard the embedding along its columns, and ranks cut all embeddings along the vocabulary."""
    whole = torch.arange(24 * 36).view(24, 36)
    pieces = list(whole.chunk(shards, dim=joined))
    for rank, expected in enumerate(whole.chunk(ranks, dim=cut)):
        found = torch.empty_like(expected)
        part(pieces, joined, cut, rank, ranks).copy_to(found)
        assert torch.equal(found, expected)


def test_weights_are_read_and_not_mapped(folder) -> None:
    checkpoint = open_checkpoint(str(folder))
    weights = load_weights(checkpoint, 0, 1, torch.float32, torch.device("cpu"))
    stored = checkpoint.weights.files.tensors[0]
    assert weights.keys() == stored.keys()
    for key, mapped in stored.items():
        assert torch.equal(weights[key], mapped)
        assert weights[key].untyped_storage().data_ptr() != mapped.untyped_storage().data_ptr()


def test_dtype(folder, change_weights) -> None:
    change_weights(folder, lambda weights: weights.update({key: weights[key].half() for key in weights}))
    checkpoint = open_checkpoint(str(folder))
    assert resolve_dtype("auto", checkpoint, torch.device("cpu")) == torch.float32
    assert resolve_dtype("auto", checkpoint, torch.device("cuda")) == torch.float16
    assert resolve_dtype("bfloat16", checkpoint, torch.device("cuda")) == torch.bfloat16
    with pytest.raises(CheckpointError, match=r"^`dtype` fp16: expected auto, float32, bfloat16, float16, int8$"):
        load(str(folder), dtype="fp16")


def test_fingerprints_of_copies_and_of_other_checkpoints(folder, tmp_path, change_weights, change_params) -> None:
    first = open_checkpoint(str(folder)).fingerprint()
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert open_checkpoint(str(copy)).fingerprint() == first
    found = {first}

    change_params(copy, norm_eps=2e-5)
    found.add(open_checkpoint(str(copy)).fingerprint())
    shutil.copy(folder / "params.json", copy)
    with (copy / "tokenizer.model").open("ab") as file:
        file.write(b"\xa0\x06\x01")  # a field that sentencepiece does not know
    found.add(open_checkpoint(str(copy)).fingerprint())
    shutil.copy(folder / "tokenizer.model", copy)
    change_weights(copy, lambda weights: weights.update({NORM: weights[NORM].double()}))  # the same values
    found.add(open_checkpoint(str(copy)).fingerprint())
    assert len(found) == 4
