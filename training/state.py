"""The state of a training, as torch.save wrote it, read with one line for whatever is wrong with it."""

import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from preprocess.errors import InputError, first_line
from preprocess.seals import MEND


def read_state(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """The state, on the CPU. Pickled code is refused, not run.

    Args:
        keys: What has to be in it.

    Raises:
        InputError: It is damaged, or something else.
    """
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not look at the checksums
        if damaged is not None:
            raise ValueError(f"Bad CRC-32 for file {damaged!r}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of pickles that it did not write
            state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises whatever a damaged file leads it to
        raise InputError(f"{path}: {MEND}: {first_line(error)}") from None
    missing = [key for key in keys if not isinstance(state, dict) or key not in state]
    if missing:
        raise InputError(f"{path}: {MEND}: {missing[0]} is missing")
    return state
