"""Partial results of a run on disk, from which the same command resumes.

Until outputs_x.json is complete, the folder outputs_x.partial next to it contains:

    lock              locked by rank 0 while it runs
    overwriting       if the run replaces an existing result
    <32 digits>.jsonl one file for each computing process: a header, then a line for each batch

    1b9e02aa {"method": "direct", ..., "plan": {...}, "session": 0}
    5d21f7c0 {"batch": 3, "seconds": 4.1, "results": [[17, [-4.1, -0.2, 1]], ...]}

Each line begins with its checksum, so that a line truncated by a crash or a full disk is ignored. Each file is written
by one process only and never changed by another, so the files of a killed job are safe to read.
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
SECONDS_OF_ORPHANS = 30.0  # workers whose torchrun was killed notice it within 24 s (measured)
SECONDS_TO_SYNC = 2.0  # between two forced writes to the disk, in case the machine crashes


@dataclass
class Progress:
    """The results of earlier sessions.

    Args:
        results: Results of all completed batches, by index of the sequence.
        batches: Numbers of the completed batches.
        sessions: Seconds of each earlier session.
    """

    results: dict[int, Any] = field(default_factory=dict)
    batches: set[int] = field(default_factory=set)
    sessions: dict[int, float] = field(default_factory=dict)


class Journal:
    """The partial results of one output.

    Args:
        output_path: The predictions file that the run will write.
    """

    def __init__(self, output_path: Path):
        self.output_path = output_path
        self.folder = output_path.with_name(output_path.name.removesuffix(".json") + ".partial")
        self.file: FileIO | None = None
        self.lock_file: FileIO | None = None
        self.synced = 0.0

    def exists(self) -> bool:
        """Whether there are files of earlier sessions."""
        return bool(self.files())

    def lock(self) -> None:
        """Lock the output for this process, until `close` or its end. Waits for orphans of a killed launcher.

        Raises:
            InputError: Another process has locked it.
        """
        path = self.folder / "lock"
        until = None
        while self.lock_file is None:
            if self.folder.is_symlink() or (self.folder.exists() and not self.folder.is_dir()):
                what = "link" if self.folder.is_symlink() else "file"
                raise InputError(f"{self.folder}: is a {what}, expected a folder for partial results or nothing")
            if path.is_symlink() or (path.exists() and not path.is_file()):  # never write through a link
                raise InputError(f"{path}: expected a regular file; remove it")
            # A job that has just finished may remove the folder meanwhile; then the loop creates it again.
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
        """Release the lock; a folder without any batch is removed."""
        if self.lock_file is not None and not self.holds_batches():
            self.remove()
        for file in (self.file, self.lock_file):
            if file is not None:
                file.close()
        self.file = self.lock_file = None

    def holds_batches(self) -> bool:
        """Whether any file contains a batch."""
        return any(len(list(read_lines(path))) > 1 for path in self.files())

    def files(self) -> list[Path]:
        """The files of all processes of all sessions."""
        return sorted(self.folder.glob("*.jsonl"))

    def read(self, identity: dict[str, Any]) -> Progress:
        """The results of earlier sessions.

        Args:
            identity: The inputs of the result, including the plan of batches; see `evaluate.run.Run.compute`.

        Raises:
            InputError: The files belong to another result; the message names what differs.
        """
        progress = Progress()
        for path in self.files():
            lines = read_lines(path)
            header = next(lines, None)
            if header is None:
                continue
            check(header, BATCHES_BEGUN, f"{path}: line 1")
            check(header, SESSION, f"{path}: line 1", needed=True)
            check_same(f"{self.folder}: started", header, identity)
            for number, line in enumerate(lines, 2):
                check(line, BATCH, f"{path}: line {number}", needed=True)
                if line["batch"] not in progress.batches:
                    progress.batches.add(line["batch"])
                    progress.results |= dict(line["results"])
                session = header["session"]
                progress.sessions[session] = max(progress.sessions.get(session, 0.0), line["seconds"])
        return progress

    def overwrite(self) -> None:
        """Start over and replace an existing result. The run can be resumed later without --overwrite."""
        self.clear()
        (self.folder / OVERWRITING).touch()

    def replaces(self) -> bool:
        """Whether the interrupted run replaces an existing result."""
        return self.exists() and (self.folder / OVERWRITING).exists()

    def clear(self) -> None:
        """Remove all partial results."""
        for path in self.files():
            path.unlink()

    def begin(self, header: dict[str, Any]) -> None:
        """Create this process's file with its header."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = FileIO(self.folder / f"{uuid.uuid4().hex}.jsonl", "x")
        self.append(header)

    def append(self, line: dict[str, Any]) -> None:
        """Write one line, unbuffered.

        Raises:
            OSError: The disk is full; earlier lines stay valid.
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
        """Remove the folder and release the lock, after the result is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.lock_file is not None:
            self.lock_file.close()
            self.lock_file = None

    def remove_leftovers(self) -> None:
        """Remove the folder of a job that was stopped after its result was complete, unless another job uses it."""
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
    """The lines of a journal up to the first damaged one, which is the last."""
    with path.open("rb") as file:
        for raw in file:
            checksum, _, content = raw.rstrip(b"\n").partition(b" ")
            if not raw.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(content):
                return
            try:
                yield json.loads(content)
            except (ValueError, RecursionError):
                raise InputError(f"{path}: contains a line that is not JSON; --overwrite starts over") from None
