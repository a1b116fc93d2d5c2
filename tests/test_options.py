"""The command line: parsing and its refusals, without any method or data set."""

import ast
import importlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import options
from options import FlagError, explanations, flat_fields, parse
from preprocess.files import PathFlag
from tests.command_lines import ROOT, SCRIPTS, Config, Inner

PATHS = "model words image images annotations demonstrations output figures paths config gguf preview prior"


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
    assert "--sample (bool, default True)\n      Whether or not, true: on a second line with a colon." in shown
    assert "--max_len (int)\n      A count that need not be given." in shown
    assert "--inner" not in shown


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
