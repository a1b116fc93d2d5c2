"""Reads a training state that torch.save wrote; damage is a one-line error."""

import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from preprocess.errors import InputError, first_line
from preprocess.seals import CHANGED


def read_state(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """The state, on the CPU. Pickled code is refused, not run.

    Args:
        keys: The keys that it must contain.

    Raises:
        InputError: The file is damaged, or is not such a state.
    """
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not check the checksums
        if damaged is not None:
            raise ValueError(f"Bad CRC-32 for file {damaged!r}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles that it did not write
            state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # of any type, depending on the damage
        raise InputError(f"{path}: {CHANGED}: {first_line(error)}") from None
    missing = [key for key in keys if not isinstance(state, dict) or key not in state]
    if missing:
        raise InputError(f"{path}: {CHANGED}: {missing[0]} is missing")
    return state
