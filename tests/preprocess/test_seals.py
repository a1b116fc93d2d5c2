"""Sealed folders: every byte of the files and of the seal matters."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from preprocess.errors import InputError
from preprocess.seals import SEAL, check_seal, seal
from tests.damages import EVERY


@EVERY
def test_a_sealed_folder(damage: Callable[[Path], object], tmp_path: Path):
    (tmp_path / "a").write_text("some text")
    (tmp_path / "b.json").write_text('{"c": 1}')
    seal(tmp_path)
    (tmp_path / "later").touch()
    check_seal(tmp_path)
    for name in ("b.json", SEAL):
        copy = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-{name}"))
        damage(copy / name)
        with pytest.raises(InputError, match=rf"^{copy / name}: ") as refused:
            check_seal(copy)
        assert "\n" not in str(refused.value)
    (tmp_path / "a").unlink()
    with pytest.raises(InputError, match=r"/a: differs from what was saved; --overwrite starts over \(--output_dir\)$"):
        check_seal(tmp_path)
    (tmp_path / SEAL).unlink()
    check_seal(tmp_path)  # of an earlier version
