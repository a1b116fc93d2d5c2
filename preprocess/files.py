"""Reading files, with errors that name the file, and writing them atomically."""

import errno
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

from preprocess.errors import InputError

BYTE_ORDER_MARK = "\ufeff"
SPARE = 2**20  # bytes; a disk with less is full
LARGEST = 2**63  # of whole numbers
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def expand_path(text: str) -> str:
    """A path from a file, or from `--flag=~/x`, which no shell expands, with `~` replaced by the home folder.

    Raises:
        InputError: A URL, a loop of links, or a name that is too long.
    """
    if URL.match(text):
        raise InputError(f"{text}: is a URL, expected a path on this machine (or OWNER/NAME on the hub)")
    path = os.path.expanduser(text)
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise InputError(f"{text:.200}: {error.strerror}") from None
    return path


PathFlag = Annotated[str, expand_path]  # the type of path flags: `options` calls `expand_path` with the value


def read_bytes(path: str | Path, flag: str) -> bytes:
    """The content of `path`; `flag` is the flag that named it, for messages.

    Raises:
        InputError: The file is missing, unreadable, or not a regular file (reading a pipe or device may never end).
    """
    try:
        status = os.stat(path)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise InputError(f"{path}: not a regular file (a pipe or a device); save its content to a file ({flag})")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file ({flag})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror} ({flag})") from None


def read_text(path: str | Path, flag: str) -> str:
    """The text of `path`, with or without a byte order mark.

    Raises:
        InputError: As for `read_bytes`, or the file is not UTF-8.
    """
    return decode(read_bytes(path, flag), path, flag)


def decode(raw: bytes, path: str | Path, flag: str) -> str:
    """`raw`, the content of `path`, as text."""
    try:
        return raw.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        line = 1 + raw.count(b"\n", 0, error.start)
        raise InputError(f"{path}: not UTF-8 at byte {error.start} in line {line} ({flag})") from None


def read_json(path: str | Path, flag: str) -> Any:
    """The parsed content of `path`.

    Raises:
        InputError: As for `read_text`, or the file is not JSON.
    """
    return read_hashed_json(path, flag)[0]


def read_hashed_json(path: str | Path, flag: str) -> tuple[Any, str]:
    """The parsed content of `path`, and the SHA-256 of the parsed bytes."""
    content = read_bytes(path, flag)
    return parse_json(decode(content, path, flag), path, flag), hashlib.sha256(content).hexdigest()


def parse_json(raw: str, path: str | Path, flag: str) -> Any:
    """`raw`, the text of `path`, parsed."""
    try:
        content = json.loads(raw, parse_int=within_64_bits)
        return replace_surrogates(content) if "\\ud" in raw or "\\uD" in raw else content
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: line {error.lineno} column {error.colno}: {error.msg} ({flag})") from None
    except (RecursionError, ValueError) as error:  # nested too deep
        raise InputError(f"{path}: invalid: {error} ({flag})") from None


def within_64_bits(text: str) -> int | float:
    """An integer of at most 64 bits; a longer one becomes the nearest float, or infinity."""
    if len(text) < 19:
        return int(text)
    return int(text) if len(text) <= 20 and -LARGEST <= int(text) < LARGEST else float(text)


def replace_surrogates(content: Any) -> Any:
    """JSON content with U+FFFD for each lone surrogate, which JSON allows but tokenizers cannot encode."""
    text = json.dumps(content, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def write_bytes(path: str | Path, content: bytes, scratch: Path | None = None) -> None:
    """Write a file atomically: to a temporary name, which is then renamed.

    Args:
        scratch: Folder of the temporary file, on the same disk; None: the folder of `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    descriptor, temporary = tempfile.mkstemp(dir=scratch or path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~current_umask())
        os.replace(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None:  # a full disk
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path`, on its disk, for what is to be moved there; it is removed at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    made = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    descriptor = os.open(made, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield made
    finally:
        os.close(descriptor)
        shutil.rmtree(made, ignore_errors=True)


def put_in_place(made: Path, folder: Path) -> None:
    """Rename the temporary folder `made` to `folder`, with the user's default permissions."""
    for file in made.iterdir():
        file.chmod(0o666 & ~current_umask())
    made.chmod(0o777 & ~current_umask())
    os.replace(made, folder)


def names_full_disk(function: Callable[[Any], None]) -> Callable[[Any], None]:
    """Decorate a function of options with an `output_dir`: errors of libraries on a full disk become an OSError that
    names this folder."""

    @wraps(function)
    def named(config: Any) -> None:
        try:
            function(config)
        except Exception as error:
            if getattr(error, "filename", None) is None and is_full(error, Path(config.output_dir)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), config.output_dir) from None
            raise

    return named


def is_full(error: Exception, folder: Path) -> bool:
    """Whether an error means a full disk: by its message or, if that does not say so, by the remaining space."""
    if os.strerror(errno.ENOSPC) in str(error):
        return True
    return "failed writing file" in str(error) and folder.exists() and shutil.disk_usage(folder).free < SPARE


def remove_leftovers(path: Path) -> None:
    """Remove temporary files and folders of killed writers next to `path`; a running writer locks its own."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.{'?' * 8}"):
        with suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()
            finally:
                os.close(descriptor)


def write_pair(path: str | Path, content: bytes, meta: bytes, scratch: Path | None = None) -> None:
    """Write a file, then its meta file: an old meta file must never describe new content.

    Meanwhile a hidden file marks the pair as unfinished, see `is_unfinished`. Unchanged files are not written.

    Args:
        scratch: As for `write_bytes`.
    """
    path, meta_file = Path(path), meta_path(path)
    old = path.read_bytes() if path.is_file() else None
    if old == content and meta_file.is_file() and meta_file.read_bytes() == meta and not mark_of(path).exists():
        return
    hashes = [hashlib.sha256(part).hexdigest() for part in (old, content) if part is not None]
    write_bytes(mark_of(path), " ".join(hashes).encode(), scratch)
    meta_file.unlink(missing_ok=True)
    write_bytes(path, content, scratch)
    write_bytes(meta_file, meta, scratch)
    mark_of(path).unlink(missing_ok=True)


def is_unfinished(path: Path) -> bool:
    """Whether `write_pair` was interrupted between its two files, and the file at `path` was not changed since."""
    if not (mark_of(path).is_file() and path.is_file()):
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() in mark_of(path).read_text().split()


def mark_of(path: Path) -> Path:
    """The hidden file that marks a pair as unfinished."""
    return path.with_name(f".{path.name}.unfinished")


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically."""
    write_bytes(path, encode_json(content))


def encode_json(content: Any) -> bytes:
    """`content` as indented JSON in UTF-8."""
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "backslashreplace")


def current_umask() -> int:
    """The process's umask, for files of mkstemp, which are private by default."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def check_writable(path: str | Path, flag: str) -> None:
    """Check that `path` can be written later, without creating anything.

    Raises:
        InputError: It cannot be written.
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
    """The meta file of a prompt or predictions file: x.json -> x.meta.json, x.v1 -> x.v1.meta.json."""
    path = Path(path)
    return path.with_name(path.name.removesuffix(".json") + ".meta.json")
