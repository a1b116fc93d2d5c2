"""SHA-256 of whole files, with a check of archives for damage.

Hashes are cached in the user's cache folder, by path, size, time stamps and inode; unchanged files are not read again.
"""

import hashlib
import json
import os
import tempfile
import time
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from llama.errors import CheckpointError
from llama.formats.files import ZIP_MAGIC

CHUNK = 1 << 22  # bytes in a read
THREADS = 4  # hashing releases Python's lock
SETTLED = 2.0  # seconds: a younger file may change again with the same time stamp
FORM = 1  # version of the cache entries


class Hashing:
    """The SHA-256 of files, computed by threads while something else is done, such as loading what is in them.

    Args:
        paths: The files.
    """

    def __init__(self, paths: Sequence[Path]):
        pool = ThreadPoolExecutor(THREADS)
        self.hashes = [pool.submit(whole_hash, path) for path in paths]
        pool.shutdown(wait=False)  # takes no more

    def result(self) -> list[str]:
        """The hash of each file, waited for.

        Raises:
            CheckpointError: A file is not there, or an archive whose checksums do not fit its content.
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
    with ThreadPoolExecutor(1) as pool, path.open("rb") as file:
        checked = pool.submit(check_archive, path)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        checked.result()
    if time.time() - max(status.st_mtime, status.st_ctime) > SETTLED:
        keep(kept, {"path": str(path.resolve()), "about": about, "sha256": sha256})
    return sha256


def check_archive(path: Path) -> None:
    """Raises CheckpointError if a torch.save file, which is a zip archive, is damaged."""
    with path.open("rb") as file:
        if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            return
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                check_entry(archive, entry)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path}: damaged: {' '.join(str(error).split())}; download it again") from None


def check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Read an entry to its end, where zipfile compares the checksum."""
    with archive.open(entry) as file:
        while file.read(CHUNK):
            pass


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
