"""Lines of a text file, plain or compressed by gzip, in any encoding; what does not decode is named by its line."""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from preprocess.errors import InputError
from preprocess.files import BYTE_ORDER_MARK

UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines with their ends, as they are, without a byte order mark.

    Raises:
        InputError: Not readable, no gzip where its name says so, or a byte that does not decode.
    """
    try:
        with open_bytes(path) as binary, io.TextIOWrapper(binary, encoding=encoding, newline="") as text:
            first = next(text, "").removeprefix(BYTE_ORDER_MARK)
            if first:
                yield first
            yield from text
    except UnicodeError:
        raise InputError(undecodable(path, encoding)) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not readable as gzip: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def open_bytes(path: Path) -> io.BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def undecodable(path: Path, encoding: str) -> str:
    """The message for a file that does not decode: a second reading, in one piece, finds the line."""
    with open_bytes(path) as binary:
        raw = binary.read()
    mend = "convert it to UTF-8, or say `encoding: ...` in the YAML file of the data set"
    if raw.startswith(UTF_16_MARKS) and not encoding.lower().replace("_", "-").startswith("utf-16"):
        return f"{path}: line 1: not {encoding}: it begins with the mark of UTF-16; {mend}"
    try:
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")
        found = " ".join(f"{byte:#04x}" for byte in raw[error.start : error.end][:4])
        return f"{path}: line {before.count(chr(10)) + 1}: not {encoding}: {found} ({error.reason}); {mend}"
    except UnicodeError as error:
        return f"{path}: not {encoding}: {error}; {mend}"
    return f"{path}: not {encoding}; {mend}"
