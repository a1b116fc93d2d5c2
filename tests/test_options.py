"""The command line: parsing, refusals and exit statuses, without any method or data set."""

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import options
from options import FlagError, explanations, flat_fields, parse, run
from preprocess.files import PathFlag

ROOT = Path(options.__file__).resolve().parent
PATHS = "model words image images annotations demonstrations output figures paths config gguf preview prior"


@dataclass(frozen=True)
class Inner:
    """What is shared.

    Args:
        k: A count.
        max_len: A count that need not be given.
    """

    k: int = 1
    max_len: int | None = None

    def __post_init__(self) -> None:
        if self.k < 0:
            raise FlagError(f"--k {self.k}: expected 0 or more")


@dataclass(frozen=True)
class Config:
    """Do the work.

    Args:
        data_path: A file.
        top_p: A share.
        sample: Whether or not,
            on a second line.
        inner: The shared ones.
    """

    data_path: str = ""
    top_p: float = 0.5
    sample: bool = True
    inner: Inner = field(default_factory=Inner)


@dataclass(frozen=True)
class Places:
    """Paths.

    Args:
        files: Some.
        output: Another.
        text: No path.
    """

    files: tuple[PathFlag, ...] = ()
    output: PathFlag = ""
    text: str = ""


@dataclass(frozen=True)
class Files:
    """List files.

    Args:
        paths: The files.
        kind: Their kind.
        sample: A switch.
    """

    paths: tuple[str, ...] = ("results",)
    kind: str = "csv"
    sample: bool = False


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("", Config()),
        ("--data_path x --top_p 1 --k 3", Config("x", 1.0, True, Inner(3))),
        ("--data_path=x --top_p=-.5e1 --max_len=4", Config("x", -5.0, True, Inner(1, 4))),
        ("--data-path x --max-len 4", Config("x", inner=Inner(max_len=4))),
        ("--sample --k 2", Config(inner=Inner(2))),
        ("--sample=False", Config(sample=False)),
        ("--sample False --k 2", Config(sample=False, inner=Inner(2))),
        ("--sample no", Config(sample=False)),
        ("--sample=0", Config(sample=False)),
        ("--sample=TRUE", Config()),
        ("--nosample", Config(sample=False)),
        ("--k 1 --k 2", Config(inner=Inner(2))),  # the last one counts, as in most commands
    ],
)
def test_a_command_line_becomes_nested_dataclasses(argv: str, expected: Config):
    assert parse(Config, argv.split()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "7",
        "007",
        "1.0",
        "{text}",
        "None",
        "True",
        "[1, 2]",
        "(1,)",
        "'quoted'",
        '"q"',
        "a=b",
        "-",
        "-x",
        "a b",
        "\\",
        "",
    ],
)
@pytest.mark.parametrize("form", [["--data_path", "{}"], ["--data_path={}"]])
def test_text_stays_text(text: str, form: list[str]):
    """fire alone would convert them to numbers, sets and None."""
    assert parse(Config, [part.replace("{}", text) for part in form]).data_path == text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--bogus 1", "--bogus: unknown flag"),
        ("--bogus=1", "--bogus: unknown flag"),
        ("--inner x", "--inner: unknown flag"),
        ("--K 1", "--K: unknown flag"),
        ("--nodata_path", "--nodata_path: unknown flag"),  # fire would set the text to 'False'
        ("--nok", "--nok: unknown flag"),
        ("--nosample=True", "--nosample=True"),
        ("--k abc", "--k abc: expected a whole number"),
        ("--k 1.5", "--k 1.5: expected a whole number"),
        ("--k=1e3", "--k 1e3: expected a whole number"),
        ("--k=", "--k : expected a whole number"),
        ("--max_len None", "--max_len None: expected a whole number"),
        ("--top_p much", "--top_p much: expected a number"),
        ("--sample=maybe", "--sample maybe: expected True or False"),
        ("--sample maybe", "maybe: unexpected argument"),
        ("--data_path", "--data_path: missing value"),
        ("--data_path --k 1", "--data_path: missing value"),
        ("x", "x: unexpected argument"),
        ("--k 1 x", "x: unexpected argument"),
        ("-k 1", "-k: unexpected argument"),
        ("-- --interactive", "--: unexpected argument"),  # fire's own flags are not ours
        ("--k -1", "--k -1: expected 0 or more"),
    ],
)
def test_refusals_and_their_messages(argv: str, message: str):
    with pytest.raises(FlagError) as error:
        parse(Config, argv.split())
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("argv", "paths", "kind"),
    [
        ([], ("results",), "csv"),
        (["a"], ("a",), "csv"),
        (["a", "--kind", "x", "b c"], ("a", "b c"), "x"),
        (["--kind=x", "7", "{b}"], ("7", "{b}"), "x"),
        (["--sample", "a"], ("a",), "csv"),  # a switch takes no file for its value
        (["--paths", "a"], ("a",), "csv"),
        (["--paths", "a", "b", "--paths=c"], ("a", "b", "c"), "csv"),
    ],
)
def test_arguments_without_a_flag_go_to_the_tuple(argv: list[str], paths: tuple[str, ...], kind: str):
    parsed = parse(Files, argv)
    assert (parsed.paths, parsed.kind) == (paths, kind)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_explains_every_flag(flag: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as stop:
        parse(Config, ["--k", "1", flag])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert "Do the work." in shown
    for line in ("--data_path (str)\n      A file.", "--top_p (float, default 0.5)\n      A share."):
        assert line in shown
    assert "--sample (bool, default True)\n      Whether or not, on a second line." in shown
    assert "--max_len (int)\n      A count that need not be given." in shown
    assert "--inner" not in shown


SCRIPTS = sorted(ROOT.glob("run_*.py"))
COMMANDS = [ROOT / "benchmarks" / name for name in ("calibration.py", "docbank.py", "scaling.py", "scoring.py")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_flag_of_every_script_is_explained(script: Path):
    """Scripts consist of a docstring, imports and one call, run(Config, function), which is read without running it."""
    *imports, call = ast.parse(script.read_text()).body[1:]
    origin = {name.name: part.module for part in imports for name in part.names}
    config_name, function_name = (argument.id for argument in call.value.args)
    config = getattr(importlib.import_module(origin[config_name]), config_name)
    assert callable(getattr(importlib.import_module(origin[function_name]), function_name))
    explained = explanations(config)
    assert [flag for flag in flat_fields(config) if not explained.get(flag)] == []
    assert parse(config, []) == config()


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


@dataclass(frozen=True)
class Elsewhere:
    """The same flags with another default.

    Args:
        inner: The shared ones.
    """

    inner: Inner = field(default_factory=lambda: Inner(k=7))


def test_defaults_of_nested_flags_are_those_of_the_factory(capsys):
    assert parse(Elsewhere, []).inner == Inner(k=7)
    assert parse(Elsewhere, ["--max_len", "3"]).inner == Inner(k=7, max_len=3)
    assert parse(Config, []).inner == Inner(k=1)
    with pytest.raises(SystemExit):
        parse(Elsewhere, ["--help"])
    assert "--k (int, default 7)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "folder, line",
    [
        ("finetune", "error: No module named 'absent': pip install -r requirements-finetune.txt\n"),
        ("preprocess", "error: No module named 'absent': pip install -r requirements.txt\n"),
    ],
)
def test_missing_package_is_one_line(tmp_path, folder, line):
    """A package with its own requirements file is reported with that file."""
    (tmp_path / "options.py").write_bytes(Path(options.__file__).read_bytes())
    (tmp_path / "requirements-finetune.txt").touch()
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "deep.py").write_text("import absent.part")
    (tmp_path / "script.py").write_text(f"import options\nimport {folder}.deep")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    (tmp_path / "script.py").write_text(f"import options\nimport {folder}.mistyped")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, True)


@pytest.mark.parametrize("script", [*SCRIPTS, *COMMANDS], ids=lambda path: path.stem)
def test_a_script_outside_the_environment_ends_in_one_line(script: Path, tmp_path: Path):
    """Python without its packages, as after `make demo` and before `. .venv/bin/activate`."""
    command = [sys.executable, "-S", script]  # -S: no packages
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: No module named '\w+': .*pip install -r requirements\.txt\n", done.stderr)


@pytest.mark.parametrize(
    ("script", "package", "requirements"),
    [
        ("run_preprocess.py", "yaml", "requirements.txt"),
        ("run_preprocess_direct_ag_news.py", "datasets", "requirements.txt"),
        ("run_evaluate_direct_llama.py", "torch", "requirements.txt"),
        ("run_evaluate_generate_llama.py", "fairscale", "requirements.txt"),
        ("run_sweep.py", "numpy", "requirements.txt"),
        ("run_evaluate_channel_llama.py", "tqdm", "requirements.txt"),
        ("run_finetune_layoutlmv3.py", "lightning", "requirements-finetune.txt"),
        ("run_finetune_llama_layout.py", "peft", "requirements-finetune.txt"),
        ("run_preprocess_annotations.py", "PIL", "requirements-finetune.txt"),
        ("run_pretrain_layoutlmv3.py", "sklearn", "requirements-finetune.txt"),
        ("run_convert_gguf.py", "gguf", "requirements-convert.txt"),
        ("run_report.py", "matplotlib", "requirements-report.txt"),
        ("run_report.py", "jinja2", "requirements-report.txt"),
    ],
)
def test_a_missing_package_is_reported_with_its_requirements_file(script, package, requirements, tmp_path, monkeypatch):
    stub = f"raise ModuleNotFoundError({f'No module named {package!r}'!r}, name={package!r})"
    (tmp_path / f"{package}.py").write_text(stub)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run([sys.executable, ROOT / script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert re.fullmatch(rf"error: No module named '{package}': .*pip install -r {requirements}\n", done.stderr)


def test_the_environment_beside_the_scripts_is_named(tmp_path: Path):
    (tmp_path / "options.py").write_bytes(Path(options.__file__).read_bytes())
    (tmp_path / ".venv").mkdir()
    done = subprocess.run(
        [sys.executable, "-S", "options.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    hint = ". .venv/bin/activate, or pip install -r requirements.txt"
    assert (done.returncode, done.stderr) == (2, f"error: No module named 'fire': {hint}\n")


def test_another_version_of_a_package_is_one_line_but_our_bugs_are_not(tmp_path: Path):
    (tmp_path / "options.py").write_bytes(Path(options.__file__).read_bytes())
    (tmp_path / "script.py").write_text("import options\nfrom fire import gone")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot import name 'gone' from 'fire'" in done.stderr
    (tmp_path / "script.py").write_text("import options\nfrom options import gone")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, True)


def test_paths_become_paths_once(monkeypatch):
    """`~` is expanded even without a shell; text that is not a path is unchanged."""
    monkeypatch.setenv("HOME", "/home/me")
    argv = ["~/a", "b~", "--output=~/c/d", "--text=~/e", "./~"]
    assert parse(Places, argv) == Places(("/home/me/a", "b~", "./~"), "/home/me/c/d", "~/e")
    assert "--output (path)\n" in options.help_text(Places)


@pytest.mark.parametrize("argv", ["--output s3://a/b", "--files x file:///a", "x https://a/b", "--output=HTTP://a"])
def test_urls_are_refused_as_paths(argv: str):
    expected = r"^--(output|files) \w+://[a/b]+: is a URL, expected a path on this machine \(or OWNER/NAME on "
    with pytest.raises(FlagError, match=expected):
        parse(Places, argv.split())


@pytest.mark.parametrize("script", sorted(ROOT.glob("run_*.py")), ids=lambda path: path.stem)
def test_every_path_flag_has_the_type_path_flag(script: Path):
    config = re.search(r"^run\((\w+), ", script.read_text(), re.M)[1]
    module = re.search(rf"^from (\S+) import .*{config}", script.read_text(), re.M)[1]
    flags = flat_fields(getattr(importlib.import_module(module), config))
    names = [name for name in flags if name.endswith(("_path", "_dir")) or name in PATHS.split()]
    assert [name for name in names if flags[name].type not in (PathFlag, tuple[PathFlag, ...])] == []
    assert names


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
    code = "from options import run\nfrom tests.test_options import Config\nrun(Config, lambda _: print('日本 é'), [])"
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"\\u65e5\\u672c \xe9\n"), done.stderr


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "WORLD_SIZE"])
@pytest.mark.parametrize("value", ["x", "-1", "", "1" * 400, "\u0663"])
def test_variables_of_torchrun_must_be_numbers(name: str, value: str, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(FlagError, match=rf"^environment variable {name} is '{value}', expected .*; unset {name}$"):
        options.check_environment()


@pytest.mark.parametrize("text", [str(2**63), "-" + "9" * 30, "1" * 5000])
def test_whole_numbers_have_64_bits(text: str):
    with pytest.raises(FlagError, match=r"^--k -?\d+: expected a whole number$"):
        parse(Config, ["--k", text])


def test_invalid_paths(tmp_path: Path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for path, reason in ((tmp_path / "a", "Too many levels of symbolic links"), ("x" * 5000, "File name too long")):
        with pytest.raises(FlagError, match=rf"^--output {str(path)[:200]}: {reason}$"):
            parse(Places, ["--output", str(path)])
