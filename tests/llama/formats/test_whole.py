"""Every byte of a checkpoint's files matters: for its fingerprint, or as an error."""

import hashlib
import json
import time
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from llama import CheckpointError, load, open_checkpoint
from llama.formats import whole
from llama.formats.whole import Hashing, whole_hash

EMBEDDING = "tok_embeddings.weight"


@pytest.mark.parametrize("kind", ["archive", "safetensors"])
def test_one_flipped_bit_anywhere(folder, tmp_path, kind) -> None:
    """An error in an archive, which has checksums; another fingerprint in safetensors, which has none."""
    path = tmp_path / f"x.{kind}"
    if kind == "archive":
        path = folder / "consolidated.00.pth"
    else:
        save_file({"a": torch.arange(4000.0)}, path)
    content = path.read_bytes()
    first, generator = whole_hash(path), np.random.default_rng(0)
    in_weights = torch.load(path, weights_only=True)[EMBEDDING].numpy().tobytes()[:64] if kind == "archive" else b""
    start = content.index(in_weights) if in_weights else len(content) - 16000
    for place in start + generator.integers(12000, size=20):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(flipped)
        if kind == "archive":
            with pytest.raises(CheckpointError, match=rf"^{path}: damaged: Bad CRC-32 .*; download it again$"):
                whole_hash(path)
        else:
            assert whole_hash(path) != first
    path.write_bytes(content)
    assert whole_hash(path) == first


def test_a_hash_is_kept_until_the_file_changes(tmp_path, monkeypatch) -> None:
    """It is kept by size, times and inode, but not for a file that is still being written."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "x.bin"
    path.write_bytes(b"a" * 100)
    first = whole_hash(path)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr("llama.formats.whole.SETTLED", -1.0)
    assert whole_hash(path) == first
    (kept,) = (tmp_path / "cache").rglob("*.json")
    monkeypatch.setattr("llama.formats.whole.checked_hash", lambda _: pytest.fail("read again"))
    assert whole_hash(path) == first
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for content in ("{", "[]", "3", json.dumps({"about": 1})):  # damaged: not believed, not an error
        kept.write_text(content)
        assert whole_hash(path) == first
    path.write_bytes(b"b" * 100)
    assert whole_hash(path) != first


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("llama.formats.whole.SETTLED", -1.0)
    (tmp_path / "x.bin").write_bytes(b"a")
    assert whole_hash(tmp_path / "x.bin") == hashlib.sha256(b"a").hexdigest()


@pytest.mark.parametrize("kind", ["pth", "safetensors", "bin"])
def test_one_flipped_bit_in_a_model_that_is_imported(folder, tmp_path, kind, one_process, save_model) -> None:
    """`load` reads all bytes as the command line does."""
    if kind != "pth":
        folder = tmp_path / "hf"
        model = save_model(folder)
    if kind == "bin":
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (path,) = folder.glob(f"*.{kind}")
    first = load(str(folder)).fingerprint
    assert first == open_checkpoint(str(folder)).fingerprint()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if kind == "safetensors":
        assert load(str(folder)).fingerprint not in (first, None)
    else:
        with pytest.raises(CheckpointError, match=rf"^{path}: damaged: Bad CRC-32 .*; download it again$"):
            load(str(folder))


def test_invalid_archives(tmp_path) -> None:
    """Truncated, with compressed entries, or with an invalid offset of an entry."""
    path = tmp_path / "x.pth"
    torch.save({"a": torch.arange(40_000.0)}, path)
    content = path.read_bytes()
    assert whole_hash(path) == hashlib.sha256(content).hexdigest()
    with zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"a" * 1000)
    header = content.index(b"PK\x03\x04", 4)
    for broken in (content[:-1000], content[:header] + b"xx" + content[header + 2 :], b"PK\x03\x04"):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=rf"^{path}: damaged: .*; download it again$"):
            whole_hash(path)
    with pytest.raises(CheckpointError, match=r"damaged: 'a' is compressed; download it again$"):
        whole_hash(tmp_path / "packed.pth")


def test_hashes_are_computed_in_the_background(tmp_path, monkeypatch) -> None:
    """They are waited for only when they are needed."""
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(path.name.encode())
    real = whole.whole_hash
    monkeypatch.setattr(whole, "whole_hash", lambda path: time.sleep(0.3) or real(path))
    began = time.monotonic()
    hashing = Hashing(paths)
    assert time.monotonic() - began < 0.2
    assert hashing.result() == [hashlib.sha256(path.name.encode()).hexdigest() for path in paths]
