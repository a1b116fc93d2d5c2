"""Image names in exports (URLs, uploads, paths of other machines) -> local files."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # Label Studio adds this prefix to uploaded files
NOWHERE = ("", ".", "..")


def parts_of(name: str, separators: str = r"[/\\]") -> list[str]:
    """The parts of a path, also of a Windows path."""
    return [part for part in re.split(separators, name) if part not in NOWHERE]


def find_image(folder: Path, name: str) -> str | None:
    """The path within `folder` of the image that an export calls `name`; None if there is none.

    It tries `name`, then fewer and fewer of its leading folders, then the file name without an upload's prefix; last
    the same with percent-encoding decoded.
    """
    for written in dict.fromkeys((name, unquote(name))):
        paths = [parts_of(written, "/"), parts_of(written)]
        tries = ["/".join(parts[start:]) for parts in paths for start in range(len(parts))]
        uploaded = UPLOADED.fullmatch(paths[1][-1]) if paths[1] else None
        if uploaded:
            tries.append(uploaded[1])
        path = next((path for path in tries if os.path.isfile(folder / path)), None)
        if path is not None:
            return path
    return None


def file_names_of(name: str) -> list[str]:
    """Possible file names of the image that an export calls `name`, with and without an upload's prefix."""
    names = []
    for written in dict.fromkeys((name, unquote(name))):
        last = (parts_of(written) or [""])[-1]
        uploaded = UPLOADED.fullmatch(last)
        names += [last, *([uploaded[1]] if uploaded else [])]
    return [name for name in dict.fromkeys(names) if name]


def is_named(name: str, file_name: str) -> bool:
    """Whether an export's `name` refers to an image file."""
    return file_name in file_names_of(name)
