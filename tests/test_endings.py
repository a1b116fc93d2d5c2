"""How commands end: exit statuses, messages of one line, output that a terminal can show."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import options
from options import FlagError, run
from tests.command_lines import ROOT, Config, Inner


class Mendable(ValueError):
    exit_status = 2


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str]]:
    """A function that runs a command that raises `error`: returns exit status and stderr."""

    def end(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", end)  # torch is loaded here, so the end would be at once

    def ended(error: BaseException, argv: list[str] | None = None) -> tuple[int, str]:
        def function(config: Config) -> None:
            raise error

        with pytest.raises(SystemExit) as stop:
            run(Config, function, argv or [])
        return stop.value.code, capsys.readouterr().err

    return ended


@pytest.mark.parametrize(
    ("error", "argv", "status", "line"),
    [
        (Mendable("x.json: row 3:\n  broken"), [], 2, "error: x.json: row 3: broken\n"),
        (FileNotFoundError(2, "No such file", "x.json"), [], 2, "error: [Errno 2] No such file: 'x.json'\n"),
        (OSError(28, "No space left on device"), [], 2, "error: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), [], 130, "interrupted\n"),
        (AssertionError("never called"), ["--k", "abc"], 2, "error: --k abc: expected a whole number\n"),
        (AssertionError("never called"), ["--k", "-1"], 2, "error: --k -1: expected 0 or more\n"),
    ],
)
def test_user_errors_are_one_line(error: BaseException, argv: list[str], status: int, line: str, ending):
    assert ending(error, argv) == (status, line)


@pytest.mark.parametrize("torch", ["", "sys.modules['torch'] = None"])
def test_a_real_ctrl_c_ends_with_130_and_one_line(torch: str, root: Path):
    """Also with torch loaded, when the process ends at once: earlier output is not lost."""
    code = f"""
import os, signal, sys, time
from dataclasses import dataclass
from options import run
Nothing = dataclass(type("Nothing", (), {{}}))
{torch}
run(Nothing, lambda config: (print("half"), os.kill(os.getpid(), signal.SIGINT), time.sleep(60)), [])
"""
    command = [sys.executable, "-E", "-c", code]  # -E: streams are buffered in any environment
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (130, "half\n", "interrupted\n")


@pytest.mark.parametrize("error", [ValueError("ours"), RuntimeError("ours"), KeyError("ours")])
def test_other_errors_are_ours_and_keep_their_traceback(error: Exception):
    def function(config: Config) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        run(Config, function, [])
    assert raised.value is error


def test_success_returns_and_passes_the_configuration():
    seen: list[Config] = []
    assert run(Config, seen.append, ["--k", "2"]) is None
    assert seen == [Config(inner=Inner(2))]


def test_other_ranks_wait_for_the_message_of_rank_0(ending, monkeypatch: pytest.MonkeyPatch):
    """torchrun ends all ranks as soon as one fails; the message must be printed by then."""
    slept: list[float] = []
    monkeypatch.setattr(options.time, "sleep", slept.append)
    for rank, expected in (("0", []), ("1", [options.SECONDS_FOR_RANK_0])):
        monkeypatch.setenv("RANK", rank)
        slept.clear()
        assert ending(Mendable("x"))[0] == 2
        assert slept == expected


def test_rank_0_reports_ctrl_c_once_and_immediately(ending, monkeypatch: pytest.MonkeyPatch):
    """A terminal interrupts all ranks; a rank that waits would delay the others."""
    monkeypatch.setattr(options.time, "sleep", lambda _: pytest.fail("waited"))
    for rank, line in (("0", "interrupted\n"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert ending(KeyboardInterrupt()) == (130, line)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--limit", "abc"], "error: --limit abc: expected a whole number\n"),
        (["--nosuch", "1"], "error: --nosuch: unknown flag; --help lists them all\n"),
        (["--limit", "-1"], "error: --limit -1: expected 0 or more\n"),
    ],
)
def test_a_script_refuses_a_flag_before_any_work(flags: list[str], line: str, run_script, tmp_path: Path):
    done = run_script("run_preprocess_direct_ag_news.py", *flags, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    assert list(tmp_path.iterdir()) == []


ESCAPES = "a\x1b[2J\x9b31m\r\x07 b\u202ec\ud800 日本 👩‍👩‍👧 é\t"
SHOWN = "a\\x1b[2J\\x9b31m\\r\\x07 b\\u202ec\\ud800 日本 👩‍👩‍👧 é\t"


def test_output_contains_no_control_characters(capsys):
    """Neither in the output nor in messages; a progress bar still moves."""

    def show(_: Config) -> None:
        print(ESCAPES)
        print(f"\r{ESCAPES[:5]}\x1b[A", file=sys.stderr)

    stdout = sys.stdout
    run(Config, show, [])
    assert sys.stdout is stdout
    out, err = capsys.readouterr()
    assert out == SHOWN + "\n"
    assert err == "\ra\\x1b[2J\x1b[A\n"
    assert options.one_message(ValueError(ESCAPES)) == f"error: {SHOWN}".replace("\\r", " ").strip().replace("  ", " ")


def test_a_message_is_no_longer_than_a_screen():
    line = options.one_message(ValueError("x.json: " + "many words " * 10_000 + "(--data_path)"))
    assert line.startswith("error: x.json: many words ")
    assert line.endswith(" many words (--data_path)")
    assert len(line) < 1700


def test_output_that_is_not_utf_8(tmp_path: Path):
    """Characters that its encoding lacks are escaped."""
    code = "from options import run\nfrom tests.command_lines import Config\nrun(Config, lambda _: print('日本 é'), [])"
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"\\u65e5\\u672c \xe9\n"), done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("work", ["[print('x' * 100) for _ in range(10000)]", "print('x')", "--help"])
def test_a_reader_that_stops_ends_it_without_a_message(work: str, unbuffered: str, tmp_path: Path):
    """As `| head -1` and `| true` do; also at the flush of the end, and of the help."""
    code = "import sys\nfrom options import run\nfrom tests.command_lines import Config\nsys.stdin.read()\n"
    code += "run(Config, print, ['--help'])" if work == "--help" else f"run(Config, lambda _: {work}, [])"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=tmp_path, **streams) as writer:
        writer.stdout.close()
        writer.stdin.close()  # now it begins
        assert (writer.stderr.read(), writer.wait()) == (b"", 141)


def test_another_pipe_that_breaks_is_an_error(ending):
    assert ending(BrokenPipeError(32, "Broken pipe")) == (2, "error: [Errno 32] Broken pipe\n")


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "WORLD_SIZE"])
@pytest.mark.parametrize("value", ["x", "-1", "", "1" * 400, "\u0663"])
def test_variables_of_torchrun_must_be_numbers(name: str, value: str, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(FlagError, match=rf"^environment variable {name} is '{value}', expected .*; unset {name}$"):
        options.check_environment()
