"""SHA-256 of whole files, with a check of archives for damage.

Hashes are cached in the user's cache folder, by path, size, time stamps and inode; unchanged files are not read again.
"""

import hashlib
import json
import os
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from llama.errors import CheckpointError
from llama.formats.files import ZIP_MAGIC

CHUNK = 1 << 22  # bytes in a read
THREADS = 4  # hashing releases Python's lock
SETTLED = 2.0  # seconds: a younger file may change again with the same time stamp
FORM = 1  # version of the cache entries
HEADER = struct.Struct("<26sHH")  # of an entry of a zip archive: the lengths of its name and of what follows that


class Hashing:
    """The SHA-256 of files, computed by threads in the background, for example while the files are loaded.

    Args:
        paths: The files.
    """

    def __init__(self, paths: Sequence[Path]):
        pool = ThreadPoolExecutor(THREADS)
        self.hashes = [pool.submit(whole_hash, path) for path in paths]
        pool.shutdown(wait=False)  # takes no more

    def result(self) -> list[str]:
        """Wait for the hash of each file.

        Raises:
            CheckpointError: A file is missing, or the checksums of an archive do not match its content.
        """
        return [hashed.result() for hashed in self.hashes]


def whole_hash(path: Path) -> str:
    """The SHA-256 of one file, from the cache if it has not changed."""
    try:
        status = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    about = [FORM, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]
    kept = kept_at(path)
    with suppress(OSError, ValueError, KeyError, TypeError):
        entry = json.loads(kept.read_bytes())
        if entry["about"] == about and len(entry["sha256"]) == 64:
            return entry["sha256"]
    sha256 = checked_hash(path)
    if time.time() - max(status.st_mtime, status.st_ctime) > SETTLED:
        keep(kept, {"path": str(path.resolve()), "about": about, "sha256": sha256})
    return sha256


class Entry(NamedTuple):
    """The checksum that an archive states for the bytes from `begin` to `end`."""

    name: str
    begin: int
    end: int
    crc: int


def checked_hash(path: Path) -> str:
    """The SHA-256 of a file, read once; entries of an archive are checked against their checksums.

    Raises:
        CheckpointError: A zip archive, as torch.save writes, does not match its checksums.
    """
    sha256, entries, place = hashlib.sha256(), entries_of(path), 0
    found = [0] * len(entries)
    chunk = memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(chunk):
            sha256.update(chunk[:size])
            for number, (_, begin, end, _) in enumerate(entries):
                if begin < place + size and place < end:
                    part = chunk[max(begin - place, 0) : min(end - place, size)]
                    found[number] = zlib.crc32(part, found[number])
            place += size
    wrong = next((entry.name for entry, crc in zip(entries, found, strict=True) if crc != entry.crc), None)
    if wrong is not None:
        raise damaged(path, f"Bad CRC-32 for file {wrong!r}")
    return sha256.hexdigest()


def entries_of(path: Path) -> list[Entry]:
    """The entries of an archive, which torch.save stores uncompressed; empty for other files."""
    entries = []
    with path.open("rb") as file:
        if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            return []
        try:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    file.seek(entry.header_offset)
                    header = file.read(HEADER.size)
                    if len(header) < HEADER.size or not header.startswith(ZIP_MAGIC):
                        raise zipfile.BadZipFile(f"Bad magic number for file {entry.filename!r}")
                    begin = entry.header_offset + HEADER.size + sum(HEADER.unpack(header)[1:])
                    entries.append(Entry(entry.filename, begin, begin + entry.compress_size, entry.CRC))
                    if entry.compress_type != zipfile.ZIP_STORED:
                        raise zipfile.BadZipFile(f"{entry.filename!r} is compressed")
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise damaged(path, " ".join(str(error).split())) from None
    return entries


def damaged(path: Path, reason: str) -> CheckpointError:
    """The error for a damaged file."""
    return CheckpointError(f"{path}: damaged: {reason}; download it again")


def kept_at(path: Path) -> Path:
    """The cache entry of a file, in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    return Path(cache) / "llama-classification" / "hashes" / f"{name[:32]}.json"


def keep(kept: Path, content: dict[str, object]) -> None:
    """Write a cache entry atomically; if that fails, the file is hashed again next time."""
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=kept.parent, prefix=".")
        try:
            line = json.dumps(content).encode()
            if os.write(descriptor, line) == len(line):  # a full disk may accept only a part
                os.replace(temporary, kept)
        finally:
            os.close(descriptor)
            with suppress(FileNotFoundError):
                os.unlink(temporary)
