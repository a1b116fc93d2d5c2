"""Files: read with errors that name the file, written whole or not at all."""

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any

from preprocess.errors import InputError

BYTE_ORDER_MARK = "\ufeff"
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def expand_path(text: str) -> str:
    """A path as a user wrote it, in a file or as `--flag=~/x`, which no shell expands: `~` is the home folder.

    Raises:
        InputError: A URL.
    """
    if URL.match(text):
        raise InputError(f"{text}: is a URL, expected a path on this machine (or OWNER/NAME of what is on the hub)")
    return os.path.expanduser(text)


PathFlag = Annotated[str, expand_path]  # the type of a field that holds a path: `options` calls it on what is given


def read_text(path: str | Path, flag: str) -> str:
    """The content of `path`, with or without a byte order mark; `flag` is the option that named it, for the message.

    Raises:
        InputError: Missing, unreadable or not UTF-8.
    """
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file ({flag})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror} ({flag})") from None
    try:
        return raw.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        line = 1 + raw.count(b"\n", 0, error.start)
        raise InputError(f"{path}: not UTF-8 at byte {error.start} in line {line} ({flag})") from None


def read_json(path: str | Path, flag: str) -> Any:
    """The parsed content of `path`; `flag` is the option that named it, for the message.

    Raises:
        InputError: Missing, unreadable, not UTF-8 or not JSON.
    """
    raw = read_text(path, flag)
    try:
        return mend(json.loads(raw)) if "\\ud" in raw.lower() else json.loads(raw)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: line {error.lineno} column {error.colno}: {error.msg} ({flag})") from None
    except (RecursionError, ValueError) as error:  # nested too deep; a number of thousands of digits
        raise InputError(f"{path}: not usable: {error} ({flag})") from None


def mend(content: Any) -> Any:
    """JSON content with U+FFFD for each half of a surrogate pair: JSON can hold one, a tokenizer cannot read it."""
    text = json.dumps(content, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def write_bytes(path: str | Path, content: bytes, scratch: Path | None = None) -> None:
    """Write to a temporary name, then rename: a reader finds the old file or the new, never a half.

    Args:
        scratch: Folder for the temporary name, on the same disk; None: beside the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=scratch or path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~current_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_json(path: str | Path, content: Any) -> None:
    """`content` as indented JSON, by way of `write_bytes`."""
    write_bytes(path, encode_json(content))


def encode_json(content: Any) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "backslashreplace")


def current_umask() -> int:
    """mkstemp makes private files; results are as readable as any other file of the user."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def check_writable(path: str | Path, flag: str) -> None:
    """Find out before the work whether `path` can be written after it. Nothing is made, in case the work fails.

    Raises:
        InputError: It cannot.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, expected a file name ({flag})")
        with tempfile.TemporaryFile(dir=next(folder for folder in path.parents if folder.exists())):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror} ({flag})") from None


def meta_path(path: str | Path) -> Path:
    """Where the meta file of a prompt or predictions file stands: x.json -> x.meta.json, x.v1 -> x.v1.meta.json."""
    path = Path(path)
    return path.with_name(path.name.removesuffix(".json") + ".meta.json")
