"""Folders of a run that a later session reads: sealed with the hashes of their files, and checked before they are used.

A bit that has flipped in a model or in the state of an optimizer would change the results, and no reader would see it.
"""

import hashlib
from pathlib import Path

from preprocess.errors import InputError
from preprocess.files import read_json, write_json

SEAL = "sha256.json"  # in the folder
CARD = "README.md"  # written when results are known
MEND = "is not what was saved there; --overwrite begins anew (--output_dir)"


def seal(folder: Path) -> None:
    """Write down the hashes of the files that are there but the card; what is written later is not looked at."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in (SEAL, CARD)]
    write_json(folder / SEAL, {path.name: hash_of(path) for path in files})


def is_sealed(folder: Path) -> bool:
    """Whether the folder has a seal."""
    return (folder / SEAL).exists()


def check_seal(folder: Path) -> None:
    """Nothing is said of a folder without a seal, as earlier versions left them.

    Raises:
        InputError: A file is another one, or is not there.
    """
    if not is_sealed(folder):
        return
    sealed = read_json(folder / SEAL, "--output_dir")
    if not isinstance(sealed, dict) or not sealed:
        raise InputError(f"{folder / SEAL}: {MEND}")
    for name, expected in sealed.items():
        path = folder / name
        if not path.is_file() or hash_of(path) != expected:
            raise InputError(f"{path}: {MEND}")


def hash_of(path: Path) -> str:
    """Of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
