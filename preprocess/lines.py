"""Lines of a text file, plain or gzip, in any encoding; decoding errors name the line."""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from preprocess.errors import InputError
from preprocess.files import BYTE_ORDER_MARK

UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines with their line ends, without a byte order mark.

    Raises:
        InputError: The file is unreadable, not gzip despite its name, or in another encoding.
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
        raise InputError(f"{path}: invalid gzip: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def open_bytes(path: Path) -> io.BufferedIOBase:
    """A file opened in binary mode, decompressed if its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def undecodable(path: Path, encoding: str) -> str:
    """The message for a file with a decoding error. The file is read again as a whole to find the line."""
    with open_bytes(path) as binary:
        raw = binary.read()
    advice = "convert it to UTF-8, or set `encoding: ...` in the YAML file of the data set"
    if raw.startswith(UTF_16_MARKS) and not encoding.lower().replace("_", "-").startswith("utf-16"):
        return f"{path}: line 1: not {encoding}: it begins with the byte order mark of UTF-16; {advice}"
    try:
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")
        invalid = " ".join(f"{byte:#04x}" for byte in raw[error.start : error.end][:4])
        return f"{path}: line {before.count(chr(10)) + 1}: not {encoding}: {invalid} ({error.reason}); {advice}"
    except UnicodeError as error:
        return f"{path}: not {encoding}: {error}; {advice}"
    return f"{path}: not {encoding}; {advice}"
