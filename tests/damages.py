"""Ways in which a completely written file can be damaged later."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest


class Evil:
    """An object that runs code if it is unpickled."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("evil"),)


def save_another(path: Path) -> None:
    import torch

    torch.save({"a": torch.ones(1)}, path)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "flipped": flip,
    "empty": lambda path: path.write_bytes(b""),
    "pickle": lambda path: path.write_bytes(pickle.dumps(Evil())),
    "archive": save_another,
    "json": lambda path: path.write_text("[1]"),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}
EVERY = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
