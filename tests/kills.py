"""Kills a command before a change of a file: before each change in turn, until the command finishes.

    python tests/kills.py TEMPLATE EVERY SCRIPT [--flag value ...]

It works in copies of the folder TEMPLATE. After each kill the same command has to succeed, and to leave the files that
one leaves that was never killed: no leftovers, hidden or not.
"""

import importlib
import os
import runpy
import shutil
import sys
import traceback
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KILLED = 9
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.symlink", "os.link", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
VOLATILE = ("events.out.tfevents",)  # names that hold a time or a process


def run(script: str, flags: Sequence[str], place: Path, moment: int | None = None) -> int:
    """The exit status of a script run as by a user, in a process that has already imported its libraries."""
    child = os.fork()
    if child == 0:
        try:
            command(script, flags, str(place), moment)
        except SystemExit as ended:
            sys.stderr.flush()
            os._exit(ended.code or 0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def command(script: str, flags: Sequence[str], place: str, moment: int | None) -> None:
    """Run the script, and kill it (as by kill -9) before its `moment`-th change of a file in its folder."""
    log = os.open(f"{place}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(place)
    sys.argv = [script, *flags]
    left = iter(range(moment - 1)) if moment else iter(int, 1)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if is_change(event, arguments, place) and next(left, None) is None:
            os._exit(KILLED)

    sys.addaudithook(watch)
    runpy.run_path(str(ROOT / script), run_name="__main__")
    sys.stdout.flush()
    os._exit(0)


def is_change(event: str, arguments: tuple[Any, ...], place: str) -> bool:
    """Whether an audit event is a change of a file in the folder, which is the working directory."""
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & WRITING:
            return False
    elif event in CHANGES:
        path = arguments[0]
    else:
        return False
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    path = os.fsdecode(path)
    return not os.path.isabs(path) or path.startswith(place)


def left_in(folder: Path) -> set[str]:
    """All paths in the folder, including hidden ones."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return {name for name in names if not any(volatile in name for volatile in VOLATILE)}


def killed_everywhere(template: Path, every: int, script: str, flags: Sequence[str], scratch: Path) -> list[str]:
    """The failures, one line each."""
    whole = shutil.copytree(template, scratch / "whole", symlinks=True)
    if run(script, flags, whole) != 0:
        return [f"never killed: {Path(f'{whole}.log').read_text()}"]
    wrong = []
    for moment in count(1, every):
        place = shutil.copytree(template, scratch / str(moment), symlinks=True)
        status = run(script, flags, place, moment)
        if status == 0:
            break
        found = left_in(place)
        said = Path(f"{place}.log").read_text() if status != KILLED else ""
        status = status if said else run(script, flags, place)
        said = said or Path(f"{place}.log").read_text()
        missing, more = left_in(whole) - left_in(place), left_in(place) - left_in(whole)
        if status or missing or more:
            problem = f"status {status}: {said}" if status else f"missing {sorted(missing)}, left {sorted(more)}"
            wrong.append(f"killed at {moment}, with {sorted(found - left_in(template))}: {problem}")
        shutil.rmtree(place)
    print(f"moments {moment - 1}, of which every {every}")
    return wrong


def main() -> None:
    template, every, script, *flags = sys.argv[1:]
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    options = importlib.import_module("options")
    real, options.run = options.run, lambda *_: None
    runpy.run_path(script)  # its imports
    options.run = real
    with TemporaryDirectory() as scratch:
        wrong = killed_everywhere(Path(template), int(every), script, flags, Path(scratch))
    print("\n".join(wrong))
    sys.stdout.flush()
    os._exit(bool(wrong))


if __name__ == "__main__":
    main()
