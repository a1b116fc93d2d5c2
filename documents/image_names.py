"""Names of images in exports: addresses, uploads, folders of other machines -> files that are here."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # what Label Studio puts before the name of an uploaded file
NOWHERE = ("", ".", "..")


def parts_of(name: str, separators: str = r"[/\\]") -> list[str]:
    """The folders and the file of a path, of Windows too."""
    return [part for part in re.split(separators, name) if part not in NOWHERE]


def find_image(folder: Path, name: str) -> str | None:
    """The path within `folder` of the image that an export calls `name`; None where there is none.

    Tried are `name`, then less and less of the folders in it, then the file without what an upload puts before it; last
    the same of a name in which an address was quoted.
    """
    for written in dict.fromkeys((name, unquote(name))):
        paths = [parts_of(written, "/"), parts_of(written)]
        tries = ["/".join(parts[start:]) for parts in paths for start in range(len(parts))]
        uploaded = UPLOADED.fullmatch(paths[1][-1]) if paths[1] else None
        if uploaded:
            tries.append(uploaded[1])
        found = next((found for found in tries if os.path.isfile(folder / found)), None)
        if found is not None:
            return found
    return None


def files_meant(name: str) -> list[str]:
    """What the file may be called that an export calls `name`: wherever it lies, with what an upload puts before or
    without."""
    names = []
    for written in dict.fromkeys((name, unquote(name))):
        last = (parts_of(written) or [""])[-1]
        uploaded = UPLOADED.fullmatch(last)
        names += [last, *([uploaded[1]] if uploaded else [])]
    return [name for name in dict.fromkeys(names) if name]


def is_named(name: str, file_name: str) -> bool:
    """Whether an export's `name` means an image file."""
    return file_name in files_meant(name)
