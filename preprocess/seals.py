"""Seals folders that a later session of a run reads: hashes of their files are stored, and checked before use.

A flipped bit in a model or in the state of an optimizer would change the results unnoticed.
"""

import hashlib
from pathlib import Path

from preprocess.errors import InputError
from preprocess.files import read_json, write_json

SEAL = "sha256.json"  # in the folder
CARD = "README.md"  # written later, when results are known
CHANGED = "differs from what was saved; --overwrite starts over (--output_dir)"


def seal(folder: Path) -> None:
    """Store the hashes of all files in the folder except the card; files that are added later are not checked."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in (SEAL, CARD)]
    write_json(folder / SEAL, {path.name: hash_of(path) for path in files})


def is_sealed(folder: Path) -> bool:
    """Whether the folder has a seal."""
    return (folder / SEAL).exists()


def check_seal(folder: Path) -> None:
    """Check the files of a folder against its seal; a folder without one, from an earlier version, is accepted.

    Raises:
        InputError: A file has changed or is missing.
    """
    if not is_sealed(folder):
        return
    sealed = read_json(folder / SEAL, "--output_dir")
    if not isinstance(sealed, dict) or not sealed:
        raise InputError(f"{folder / SEAL}: {CHANGED}")
    for name, expected in sealed.items():
        path = folder / name
        if not path.is_file() or hash_of(path) != expected:
            raise InputError(f"{path}: {CHANGED}")


def hash_of(path: Path) -> str:
    """The SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
