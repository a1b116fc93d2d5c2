"""What a run has computed so far, on disk: the same command takes up where it stopped.

Beside outputs_x.json stands, until the result is complete, the folder outputs_x.partial:

    lock              held by rank 0 for as long as it lives
    overwriting       where a result is to be replaced that stands beside the folder
    <32 digits>.jsonl one file for each process that computes: a header, then a line for each batch

    1b9e02aa {"method": "direct", ..., "plan": {...}, "session": 0}
    5d21f7c0 {"batch": 3, "seconds": 4.1, "results": [[17, [-4.1, -0.2, 1]], ...]}

Each line begins with its checksum, so that a line cut off by a crash or a full disk counts as not written. A file is
written by one process and never touched again: what is left of a killed job cannot harm the next.
"""

import fcntl
import json
import os
import shutil
import sys
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from evaluate.predictions import check_same
from preprocess.errors import InputError
from preprocess.schema import BATCH, BATCHES_BEGUN, SESSION, check

OVERWRITING = "overwriting"  # an empty file
SECONDS_OF_ORPHANS = 30.0  # until workers whose torchrun was killed have seen it: up to 24 were measured
SECONDS_TO_SYNC = 2.0  # after which lines are forced onto the disk, against a crash of the machine


@dataclass
class Progress:
    """What earlier sessions left behind.

    Args:
        results: By index of the sequence, of all batches that are complete.
        batches: Numbers of those batches.
        sessions: Seconds that each earlier session spent.
    """

    results: dict[int, Any] = field(default_factory=dict)
    batches: set[int] = field(default_factory=set)
    sessions: dict[int, float] = field(default_factory=dict)


class Journal:
    """The partial results of one output.

    Args:
        output_path: The predictions file to be.
    """

    def __init__(self, output_path: Path):
        self.output_path = output_path
        self.folder = output_path.with_name(output_path.name.removesuffix(".json") + ".partial")
        self.file: FileIO | None = None
        self.lock_file: FileIO | None = None
        self.synced = 0.0

    def exists(self) -> bool:
        return bool(self.files())

    def lock(self) -> None:
        """Make this the only job that works on the output, until `close` or the end of this process. What is left of a
        job whose launcher was killed is waited for.

        Raises:
            InputError: Another process does.
        """
        path = self.folder / "lock"
        until = None
        while self.lock_file is None:
            if self.folder.is_symlink() or (self.folder.exists() and not self.folder.is_dir()):
                what = "link" if self.folder.is_symlink() else "file"
                raise InputError(f"{self.folder}: is a {what}, expected a folder for partial results or nothing")
            if path.is_symlink() or (path.exists() and not path.is_file()):  # what it leads to is not ours
                raise InputError(f"{path}: is a link or no file; remove it")
            # A job that has just finished removes the folder: whatever vanishes on the way is made once more.
            with suppress(FileNotFoundError, FileExistsError):
                self.folder.mkdir(parents=True, exist_ok=True)
                file = FileIO(path, "a+")
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    file.seek(0)
                    holder, _, parent = file.read(100).decode(errors="replace").partition("\n")
                    if until is None and is_orphan(holder, parent):
                        until = time.monotonic() + SECONDS_OF_ORPHANS
                        what = f"what is left of a run that was killed still writes it ({holder})"
                        print(f"{self.output_path}: {what}; waiting up to {SECONDS_OF_ORPHANS:.0f} s", file=sys.stderr)
                    if until is not None and time.monotonic() < until:
                        time.sleep(0.2)
                        continue
                    raise InputError(
                        f"{self.output_path}: another run is writing it ({holder or 'process unknown'});"
                        " wait for it, stop it, or choose another --output_path"
                    ) from None
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    file.truncate(0)
                    file.write(f"process {os.getpid()} on {os.uname().nodename}\n{os.getppid()}".encode())
                    self.lock_file = file

    def close(self) -> None:
        """Let go of the lock; what holds not even one batch is removed."""
        if self.lock_file is not None and not self.holds_batches():
            self.remove()
        for file in (self.file, self.lock_file):
            if file is not None:
                file.close()
        self.file = self.lock_file = None

    def holds_batches(self) -> bool:
        """Whether there is more than headers."""
        return any(len(list(read_lines(path))) > 1 for path in self.files())

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.jsonl"))

    def read(self, identity: dict[str, Any]) -> Progress:
        """What is there of the same result, computed in the same batches: `identity` says which.

        Raises:
            InputError: What is there belongs to another result; names what differs.
        """
        found = Progress()
        for path in self.files():
            lines = read_lines(path)
            header = next(lines, None)
            if header is None:
                continue
            check(header, BATCHES_BEGUN, f"{path}: line 1")
            check(header, SESSION, f"{path}: line 1", needed=True)
            check_same(f"{self.folder}: begun", header, identity)
            for number, line in enumerate(lines, 2):
                check(line, BATCH, f"{path}: line {number}", needed=True)
                if line["batch"] not in found.batches:
                    found.batches.add(line["batch"])
                    found.results |= dict(line["results"])
                session = header["session"]
                found.sessions[session] = max(found.sessions.get(session, 0.0), line["seconds"])
        return found

    def overwrite(self) -> None:
        """Begin anew, to replace a result that may stand beside the folder; without --overwrite it goes on later."""
        self.clear()
        (self.folder / OVERWRITING).touch()

    def replaces(self) -> bool:
        """Whether what was begun is to replace the result that stands beside the folder."""
        return self.exists() and (self.folder / OVERWRITING).exists()

    def clear(self) -> None:
        """Begin anew."""
        for path in self.files():
            path.unlink()

    def begin(self, header: dict[str, Any]) -> None:
        """Open this process's own file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = FileIO(self.folder / f"{uuid.uuid4().hex}.jsonl", "x")
        self.append(header)

    def append(self, line: dict[str, Any]) -> None:
        """Write one line, past all buffers of this process.

        Raises:
            OSError: The disk is full; what was written before stays valid.
        """
        content = json.dumps(line, separators=(",", ":")).encode()
        content = b"%08x %s\n" % (zlib.crc32(content), content)
        try:
            while content:
                content = content[self.file.write(content) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.folder)) from None
        if time.monotonic() - self.synced > SECONDS_TO_SYNC:
            os.fsync(self.file.fileno())
            self.synced = time.monotonic()

    def remove(self) -> None:
        """The result is complete: nothing of this is needed any more, and the next job may begin."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.lock_file is not None:
            self.lock_file.close()
            self.lock_file = None

    def remove_leftovers(self) -> None:
        """What a job left that was stopped in its last moment, its result complete; nothing while another works."""
        if self.folder.exists():
            with suppress(InputError):
                self.lock()
                self.remove()


def is_orphan(holder: str, parent: str) -> bool:
    """Whether the process that holds a lock has lost the one that started it, as workers of a killed torchrun have.

    Args:
        holder, parent: As `lock` writes them.
    """
    _, process, _, node = (*holder.split(), "", "", "", "")[:4]
    if node != os.uname().nodename or not process.isdecimal() or not Path("/proc/self/status").exists():
        return False
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:  # it has ended, and a process that it started has the lock
        return True
    return f"PPid:\t{parent}\n" not in status


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal up to the first that is damaged; after it nothing was written."""
    with path.open("rb") as file:
        for raw in file:
            checksum, _, content = raw.rstrip(b"\n").partition(b" ")
            if not raw.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(content):
                return
            try:
                yield json.loads(content)
            except (ValueError, RecursionError):
                raise InputError(f"{path}: a line that is not JSON; --overwrite begins anew") from None
