"""Partial results on disk: read back exactly, never wrong after damage, used by one job at a time."""

import fcntl
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evaluate import journal as journal_module
from evaluate.journal import Journal
from preprocess.errors import InputError

HASH = "0123456789abcdef" * 4
IDENTITY = {
    "method": "direct",
    "prompt_sha256": HASH,
    "settings": {"score_eos": True, "dtype": "float32"},
    "plan": {"max_batch_size": None, "max_batch_tokens": 64, "batches": HASH},
}

HOLDER = """
import sys
from pathlib import Path
from evaluate import journal as journal_module
from evaluate.journal import Journal

journal = Journal(Path(sys.argv[1]))
journal.lock()
print("held", flush=True)
sys.stdin.read()
journal.close()
"""

TAKE_TURNS = """
import os, sys, time
from pathlib import Path
from evaluate import journal as journal_module
from evaluate.journal import Journal
from preprocess.errors import InputError

journal, turns = Journal(Path(sys.argv[1])), 0
while turns < 100:
    try:
        journal.lock()
    except InputError:
        continue
    os.close(os.open(sys.argv[1] + ".alone", os.O_CREAT | os.O_EXCL))  # fails where another holds the lock too
    time.sleep(0.0002)
    os.unlink(sys.argv[1] + ".alone")
    if turns % 2:
        journal.remove()  # as at the end of a run
    journal.close()
    turns += 1
"""

FULL_DISK = """
import json, os, resource, runpy, sys
import evaluate.scoring  # the slow part, once for all

script, *cases = json.loads(sys.argv[1])
for number, (limit, arguments) in enumerate(cases):
    if os.fork() == 0:
        for stream in (1, 2):
            os.dup2(os.open(f"{number}.{stream}", os.O_CREAT | os.O_WRONLY), stream)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # no file may grow beyond it
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "outputs.json"


@pytest.fixture
def write(output: Path) -> Callable[..., Path]:
    """A function that writes one process's file, with a batch for each number: (*numbers, **header) -> path."""

    def written(*numbers: int, **header: object) -> Path:
        journal = Journal(output)
        journal.begin(IDENTITY | {"session": 0} | header)
        for number in numbers:
            journal.append({"batch": number, "seconds": number / 4, "results": batch(number)})
        path = Path(journal.file.name)
        journal.close()
        return path

    return written


def batch(number: int) -> list:
    return [[2 * number + place, [-number / 3, -0.1 * place, 1]] for place in range(2)]


def results(numbers: object) -> dict[int, list]:
    return {index: result for number in numbers for index, result in batch(number)}


@pytest.fixture
def in_other_process(root: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """A function that starts a script beside the test: (code, *arguments) -> process. It is killed at the end."""
    processes: list[subprocess.Popen] = []

    def start(code: str, *arguments: object) -> subprocess.Popen:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, cwd=root, text=True, **streams))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_what_is_written_is_read_by_another_journal(write, output):
    """From all files of all processes; a batch that two processes computed counts once."""
    assert not Journal(output).exists()
    write(3, 0)
    write(1, 4, 3)
    assert Journal(output).exists()
    found = Journal(output).read(IDENTITY)
    assert found.batches == {0, 1, 3, 4}
    assert found.results == results([0, 1, 3, 4])


def test_floats_are_read_exactly(output):
    draw = random.Random(0)
    floats = [struct.unpack("d", draw.randbytes(8))[0] for _ in range(2000)]
    floats = [number for number in floats if math.isfinite(number)] + [0.1 + 0.2, -1 / 3, -0.0, 5e-324]
    journal = Journal(output)
    journal.begin(IDENTITY | {"session": 0})
    journal.append({"batch": 0, "seconds": 0.0, "results": [[7, floats]]})
    journal.close()
    (found,) = Journal(output).read(IDENTITY).results.values()
    assert list(map(float.hex, found)) == list(map(float.hex, floats))


def test_a_file_cut_off_anywhere(write, output):
    """By a crash or a full disk: only its complete lines count. The same holds for an empty file."""
    path = write(5, 2, 7)
    content = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for length in range(len(content)):
        for rest in (b"", b"\0" * 40):  # some file systems lengthen a file before they write it
            path.write_bytes(content[:length] + rest)
            complete = [5, 2, 7][: max(0, sum(end <= length for end in ends) - 1)]
            found = Journal(output).read(IDENTITY)
            assert found.batches == set(complete), length
            assert found.results == results(complete), length


def test_a_byte_damaged_anywhere(write, output):
    """The lines before the damaged one count; the file of another process is intact."""
    write(9)
    path = write(5, 2, 7)
    content = path.read_bytes()
    for place in range(len(content)):
        complete = [9, *[5, 2, 7][: max(0, content[:place].count(b"\n") - 1)]]
        for byte in {content[place] ^ 1, ord("\n")} - {content[place]}:
            path.write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
            assert Journal(output).read(IDENTITY).results == results(complete), (place, byte)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"method": "channel"}, "method channel, now direct"),
        ({"prompt_sha256": HASH[::-1]}, "prompt_sha256 fedcba987654…, now 0123456789ab…"),
        (
            {"settings": IDENTITY["settings"] | {"dtype": "bfloat16"}},
            "settings {'dtype': 'bfloat16'}, now {'dtype': 'float32'}",
        ),
        (
            {"plan": IDENTITY["plan"] | {"max_batch_tokens": 32}},
            "plan {'max_batch_tokens': 32}, now {'max_batch_tokens': 64}",
        ),
        (
            {"plan": IDENTITY["plan"] | {"batches": HASH[::-1]}},
            "plan {'batches': 'fedcba987654…'}, now {'batches': '0123456789ab…'}",
        ),
    ],
)
def test_what_belongs_to_another_result_is_refused(write, output, other, message):
    """In a line that names the difference, even if our own results are there too; --overwrite removes it."""
    write(0)
    write(1, **other)
    with pytest.raises(InputError) as refused:
        Journal(output).read(IDENTITY)
    folder = output.with_name("outputs.partial")
    advice = "--overwrite replaces it, another --output_path keeps it"
    assert str(refused.value) == f"{folder}: started with {message}; {advice}"
    Journal(output).clear()
    assert not Journal(output).exists()
    assert Journal(output).read(IDENTITY).results == {}


def test_seconds_of_sessions_add_up(write, output):
    """In a session, the longest time of a process counts."""
    write(4, 2, session=0)
    write(8, session=0)
    write(12, 20, session=1)
    assert Journal(output).read(IDENTITY).sessions == {0: 2.0, 1: 5.0}


def test_a_second_job_is_refused(output, in_other_process):
    """In a line that names the process of the first job, with status 2. A killed job holds no lock."""
    holder = in_other_process(HOLDER, output)
    assert holder.stdout.readline() == "held\n"
    for _ in range(2):  # being refused changes nothing
        with pytest.raises(InputError) as refused:
            Journal(output).lock()
    assert refused.value.exit_status == 2
    assert str(refused.value) == (
        f"{output}: another run is writing it (process {holder.pid} on {os.uname().nodename});"
        " wait for it, stop it, or choose another --output_path"
    )
    holder.kill()
    holder.wait()
    journal = Journal(output)
    journal.lock()
    written = (journal.folder / "lock").read_text()
    assert written == f"process {os.getpid()} on {os.uname().nodename}\n{os.getppid()}"
    journal.close()


def test_processes_of_a_killed_job_are_waited_for(output, in_other_process, capsys, monkeypatch):
    """Their launcher is gone, so they will end soon; if they do not, the new job is refused."""
    holder = in_other_process(HOLDER, output)
    assert holder.stdout.readline() == "held\n"
    lock = output.with_name("outputs.partial") / "lock"
    lock.write_text(lock.read_text().replace(str(os.getpid()), "1"))  # another process is its parent now
    monkeypatch.setattr(journal_module, "SECONDS_OF_ORPHANS", 0.3)
    with pytest.raises(InputError, match=r"another run is writing it \(process \d+ on "):
        Journal(output).lock()
    said = f"{output}: what is left of a run that was killed still writes it (process {holder.pid} on "
    assert capsys.readouterr().err.startswith(said)
    monkeypatch.setattr(journal_module, "SECONDS_OF_ORPHANS", 60.0)
    threading.Timer(0.5, holder.kill).start()
    Journal(output).lock()
    assert capsys.readouterr().err.count("waiting up to 60 s") == 1


def test_a_lock_without_a_name(output):
    """Its holder has not written its name yet."""
    journal = Journal(output)
    journal.folder.mkdir()
    with open(journal.folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"another run is writing it \(process unknown\); wait for it"):
            journal.lock()


def test_a_file_where_the_folder_should_be(output):
    output.with_name("outputs.partial").write_text("mine")
    with pytest.raises(InputError, match=r"outputs\.partial: is a file, expected a folder"):
        Journal(output).lock()


def test_a_file_in_place_of_the_folder(output):
    """It belongs to someone else, so it is not changed."""
    folder = output.with_name("outputs.partial")
    folder.write_text("mine")
    with pytest.raises(InputError) as refused:
        Journal(output).lock()
    assert str(refused.value) == f"{folder}: is a file, expected a folder for partial results or nothing"
    assert folder.read_text() == "mine"


def test_the_lock_is_free_after_the_end(output, in_other_process):
    journal = Journal(output)
    journal.lock()
    journal.close()
    out, err = in_other_process(HOLDER, output).communicate("", timeout=60)
    assert (out, err) == ("held\n", "")


def test_the_lock_is_held_by_one_at_a_time(output, in_other_process):
    """Also while others remove and create it."""
    processes = [in_other_process(TAKE_TURNS, output) for _ in range(3)]
    assert [process.communicate(timeout=60) for process in processes] == [("", "")] * 3
    assert [process.returncode for process in processes] == [0] * 3


def test_the_end_of_a_job_leaves_the_next_one_alone(output):
    """The first job removes its folder when its result is complete, and ends after the next one has started."""
    first, second = Journal(output), Journal(output)
    first.lock()
    first.begin(IDENTITY | {"session": 0})
    first.remove()
    second.lock()
    second.begin(IDENTITY | {"session": 0})
    first.close()
    with pytest.raises(InputError, match="another run is writing it"):
        Journal(output).lock()
    second.append({"batch": 0, "seconds": 0.0, "results": batch(0)})
    assert Journal(output).read(IDENTITY).results == results([0])
    second.close()


@pytest.mark.parametrize("batches", [0, 1])
def test_close_removes_a_folder_without_results(output, batches):
    """A folder with a batch is kept; a rank without the lock leaves it to rank 0."""
    first, other = Journal(output), Journal(output)
    first.lock()
    for journal in (first, other):
        journal.begin(IDENTITY | {"session": 0})
    for number in range(batches):
        other.append({"batch": number, "seconds": 0.0, "results": batch(number)})
    other.close()
    assert first.folder.exists()
    first.close()
    assert first.folder.exists() == bool(batches)


def test_remove(write, output, tmp_path):
    """The folder with all its content, including temporary files; it may already be missing."""
    write(0)
    journal = Journal(output)
    (journal.folder / ".outputs.json.x7").write_text("[")
    for _ in range(2):
        journal.remove()
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk(root, evaluate, write_prompts, checkpoint, tmp_path, capsys):
    """One line and status 2, for any file; without the limit, the same command gives the same bytes."""
    inputs = write_prompts("direct")
    flags = {"data_path": inputs, "ckpt_dir": checkpoint, "max_batch_tokens": 100}
    expected = tmp_path / "expected.json"
    evaluate("direct", expected, **flags)
    limits = {"header": 300, "batch": 1500, "output": expected.stat().st_size - 1}
    cases = [
        (limit, [f"--{name}={value}" for name, value in (flags | {"output_path": tmp_path / f"{what}.json"}).items()])
        for what, limit in limits.items()
    ]
    (tmp_path / "streams").mkdir()
    command = [sys.executable, "-c", FULL_DISK, json.dumps([str(root / "run_evaluate_direct_llama.py"), *cases])]
    # A .pyc would be cut off as well, and python not notice it.
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path / "streams", env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("2\n2\n2\n", "")
    capsys.readouterr()
    for number, what in enumerate(limits):
        out, err = ((tmp_path / f"streams/{number}.{stream}").read_text() for stream in (1, 2))
        assert out == ""
        *bar, line = err.splitlines()
        assert re.match("error: .*File too large", line)
        assert all(shown.startswith(("direct: ", "warning: the mean ")) for shown in bar if shown.strip())
        assert not (tmp_path / f"{what}.json").exists()
        assert (tmp_path / f"{what}.partial").exists() == (what != "header")
        evaluate("direct", tmp_path / f"{what}.json", **flags)
        assert (tmp_path / f"{what}.json").read_bytes() == expected.read_bytes()
        there = re.match(r".*: resuming, (\d+) of (\d+) batches are finished\n", capsys.readouterr().out)
        if what == "header":
            assert there is None
        else:
            assert int(there[1]) == int(there[2]) if what == "output" else 0 < int(there[1]) < int(there[2])
    left = {f"{what}{end}" for what in ("expected", *limits) for end in (".json", ".meta.json")}
    assert {path.name for path in tmp_path.iterdir()} == {inputs.name, "streams", *left}


@pytest.mark.parametrize("name", [".", "lock"])
def test_links_are_not_followed(output, name):
    """A dangling link would cause a wait, and a link to a file would empty it."""
    folder, other = Journal(output).folder, output.with_name("other")
    other.write_text("kept")
    for target in (other, output.with_name("nothing")):
        path = folder if name == "." else folder / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(target)
        with pytest.raises(InputError, match=r"(is a link, expected a folder|expected a regular file)"):
            Journal(output).lock()
        path.unlink()
    assert other.read_text() == "kept"
