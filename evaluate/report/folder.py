"""The folder beside a large page: a script for each part of the examples.

Browsers let a page that was opened from a disk load scripts, but no other files. The name of the folder has a hash of
its content, so that a page never loads parts of another one.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from preprocess.files import put_in_place, scratch_folder, write_bytes

HASH_LENGTH = 16


def folder_of(page: Path, packed: Mapping[str, str]) -> Path:
    """The folder of a page with these parts: NAME.examples-HASH for NAME.html."""
    content = "\n".join(f"{name} {text}" for name, text in packed.items())
    return page.with_name(f"{page.stem}.examples-{hashlib.sha256(content.encode()).hexdigest()[:HASH_LENGTH]}")


def write_page(page: Path, content: bytes, folder: Path | None, packed: Mapping[str, str]) -> int:
    """Write a page and, if it has one, its folder; then remove the folders of earlier pages of this name, which show
    their examples until then. Returns the size of the folder in bytes."""
    is_new = folder is not None and not folder.exists()
    size = write_folder(page, folder, packed) if folder else 0
    try:
        write_bytes(page, content)
    except BaseException:
        if is_new:
            shutil.rmtree(folder)
        raise
    for older in folders_of(page):
        if older != folder:
            shutil.rmtree(older)
    return size


def write_folder(page: Path, folder: Path, packed: Mapping[str, str]) -> int:
    """Write the scripts atomically, unless they are there. Returns their size in bytes."""
    scripts = {f"{name}.js": f'receive("{name}", "{text}");\n'.encode() for name, text in packed.items()}
    if not has(folder, scripts):
        with scratch_folder(page) as scratch:
            for name, content in scripts.items():
                write_bytes(scratch / "made" / name, content)
            if folder.exists():
                os.replace(folder, scratch / "replaced")
            put_in_place(scratch / "made", folder)
    return sum(map(len, scripts.values()))


def has(folder: Path, scripts: Mapping[str, bytes]) -> bool:
    """Whether the folder contains exactly these files."""
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != scripts.keys():
        return False
    return all((folder / name).read_bytes() == content for name, content in scripts.items())


def folders_of(page: Path) -> list[Path]:
    """The folders of all pages of this name."""
    name = re.compile(rf"{re.escape(page.stem)}\.examples-[0-9a-f]{{{HASH_LENGTH}}}")
    return [path for path in page.parent.iterdir() if name.fullmatch(path.name) and path.is_dir()]
