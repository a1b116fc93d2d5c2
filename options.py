"""Command lines: a dataclass gives the flags, a function runs with them.

    from options import run
    run(Config, function)     # parses sys.argv into Config, calls function(Config(...)), exits

python-fire only builds the dataclass. The field types determine how a value is parsed, because fire alone turns `7`
into a number and `{text}` into a set, and keeps `--limit abc` as text. The metadata of an `Annotated` type is called
with the value, which turns strings into paths. A field that is itself a dataclass contributes its fields as flags,
with the defaults of its default_factory. The Args of the docstrings are the help.
"""

import contextlib
import dataclasses
import inspect
import io
import logging
import os
import re
import sys
import time
import traceback
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

USAGE_ERROR, INTERRUPTED, PIPE_CLOSED = 2, 130, 141
SECONDS_FOR_RANK_0 = 10.0  # time for rank 0 to print an error that all ranks have, before torchrun ends it
LONGEST_MESSAGE = 1600  # characters: fits on a screen; the flag to correct comes last
# Control characters other than tab and line break, line separators, bidirectional overrides and lone surrogates.
CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
PROGRESS_BAR_CODES = re.compile("\r|\x1b\\[A")  # used by tqdm
LARGEST = 2**63  # bound of whole numbers: computations use 64 bits
REQUIREMENTS_OF = {"tiny_llama": "tiny-llama", "pretrain": "finetune"}  # by folder, if the names differ
BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

# transformers and peft import it if it is installed; it warns of a package that only its 4-bit kernels use.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def harmless(text: str) -> str:
    """Text that is safe on a terminal: control characters, which ids and names in files may contain, are escaped."""
    return CONTROL_CHARACTERS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class OutputClosed(BrokenPipeError):
    """The reader of the output, such as head, has read enough."""


@contextlib.contextmanager
def marking_a_closed_output() -> Iterator[None]:
    """Distinguish a closed output from other pipes that break."""
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosed(*error.args) from None


class Harmless:
    """A stream that escapes control characters and characters that its encoding lacks.

    Args:
        stream: The stream to write to.
        bars: Whether the codes of progress bars pass.
    """

    def __init__(self, stream: typing.TextIO, bars: bool = False):
        self.stream = stream
        self.bars = bars
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write a text without control characters, except those of progress bars if `bars`."""
        parts = re.split(f"({PROGRESS_BAR_CODES.pattern})", text) if self.bars else [text]
        with marking_a_closed_output():
            self.stream.write(
                "".join(part if self.bars and PROGRESS_BAR_CODES.fullmatch(part) else harmless(part) for part in parts)
            )
        return len(text)

    def flush(self) -> None:
        with marking_a_closed_output():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def one_message(error: BaseException) -> str:
    """The message of an exception in one line; a long one is shortened in the middle."""
    say = getattr(error, "for_command_line", error.__str__)  # an exception of the library names arguments, not flags
    line = harmless(" ".join(say().split()))
    if len(line) > LONGEST_MESSAGE:
        line = f"{line[: LONGEST_MESSAGE * 3 // 4]} … {line[-LONGEST_MESSAGE // 4 :]}"
    return f"error: {line}"


def leave(status: int, line: str = "") -> None:
    """Print the line, if any, once, on rank 0, and exit immediately: after an error there is no barrier to wait at."""
    on_rank_0 = os.environ.get("RANK", "0") in ("0", "") or not os.environ["RANK"].isdecimal()
    if not on_rank_0 and status != INTERRUPTED:  # a terminal interrupts all ranks at once
        time.sleep(SECONDS_FOR_RANK_0)
    sys.stdout.flush()
    if line and (on_rank_0 or status != INTERRUPTED):
        print(line, file=sys.stderr, flush=True)
    if "torch" in sys.modules:  # its threads and process groups abort a normal exit
        os._exit(status)
    sys.exit(status)


def in_one_line(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """The excepthook: errors during imports, before `run`, are reported in one line too."""
    if issubclass(kind, KeyboardInterrupt):
        leave(INTERRUPTED, "interrupted")
    requirements = requirements_of(error, trace) if isinstance(error, ImportError) and error.name else None
    if requirements is not None:
        leave(USAGE_ERROR, f"error: {' '.join(str(error).split())}: {environment_hint()}pip install -r {requirements}")
    sys.__excepthook__(kind, error, trace)


sys.excepthook = in_one_line


def environment_hint() -> str:
    """How to activate the environment of `make demo`; empty if it is active or missing."""
    environment = Path(__file__).resolve().parent / ".venv"
    outside = environment.is_dir() and Path(sys.prefix).resolve() != environment.resolve()
    return ". .venv/bin/activate, or " if outside else ""


def requirements_of(error: ImportError, trace: Any) -> str | None:
    """The requirements file of the folder whose import failed; None for a module of this project.

    An installed module may also lack the name: its version then differs from the pinned one.
    """
    here = Path(__file__).resolve().parent
    name = (error.name or "").partition(".")[0]
    if (here / name).is_dir() or (here / f"{name}.py").exists():
        return None
    files = [Path(frame.filename).resolve() for frame in traceback.extract_tb(trace)]
    own_files = [file for file in files if here in file.parents and "site-packages" not in file.parts]
    folders = [part for file in own_files for part in file.relative_to(here).parts[:-1]]
    names = [f"requirements-{REQUIREMENTS_OF.get(folder, folder)}.txt" for folder in folders]
    return next((file for file in reversed(names) if (here / file).exists()), "requirements.txt")


# After the hook: without the environment, a command fails here.
import fire  # noqa: E402
from fire.core import FireExit  # noqa: E402
from fire.decorators import SetParseFns  # noqa: E402


def run(config_type: type, function: Callable[[Any], None], argv: Sequence[str] | None = None) -> None:
    """Parse the command line, call the function and exit with 0, 2 (user error, in one line) or 130 (Ctrl-C).

    A user error is an exception with an `exit_status`, or an OSError (no space, no permission).
    """
    try:
        check_environment()
        with (
            contextlib.redirect_stdout(Harmless(sys.stdout)),
            contextlib.redirect_stderr(Harmless(sys.stderr, bars=True)),
        ):
            function(parse(config_type, list(sys.argv[1:] if argv is None else argv)))
            sys.stdout.flush()
    except KeyboardInterrupt:
        leave(INTERRUPTED, "interrupted")
    except OutputClosed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        leave(PIPE_CLOSED)
    except (OSError, ValueError) as error:
        status = getattr(error, "exit_status", USAGE_ERROR if isinstance(error, OSError) else None)
        if status is None:
            raise
        leave(status, one_message(error))


class FlagError(ValueError):
    """The command line, or an environment variable of the launcher, cannot be parsed."""

    exit_status = USAGE_ERROR


def check_environment() -> None:
    """Check torchrun's environment variables.

    Raises:
        FlagError: One of them is not a number.
    """
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        value = os.environ.get(name, "0")
        if not (value.isdecimal() and value.isascii() and len(value) < 10):
            raise FlagError(f"environment variable {name} is {value!r}, expected a number from torchrun; unset {name}")


def parse(config_type: type, argv: list[str]) -> Any:
    """`argv` as an instance of `config_type`; exits with 0 after --help.

    Raises:
        FlagError: An unknown flag, a value of the wrong type, an unexpected argument.
    """
    flags = flat_fields(config_type)
    if "--help" in argv or "-h" in argv:
        print(help_text(config_type), flush=True)
        sys.exit(0)
    errors: list[str] = []
    argv = gather_positional(argv, flags)
    flat = dataclasses.make_dataclass(
        "Flags", [(name, field.type, field) for name, field in flags.items()], frozen=True
    )
    SetParseFns(**{name: parser(name, field.type, errors) for name, field in flags.items()})(flat)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            built = fire.Fire(flat, command=argv, serialize=lambda _: "")
    except FireExit as stop:
        raise FlagError(fire_message(stop)) from None
    if errors:
        raise FlagError(errors[0])
    return nest(config_type, {name: getattr(built, name) for name in flags})


def flat_fields(config_type: type, defaults: Any = None) -> dict[str, dataclasses.Field]:
    """The flags of a dataclass, including those of nested dataclasses, with their types resolved.

    Args:
        defaults: An instance whose values replace the defaults of the class.
    """
    flags: dict[str, dataclasses.Field] = {}
    hints = typing.get_type_hints(config_type, include_extras=True)
    for field in dataclasses.fields(config_type):
        if dataclasses.is_dataclass(hints[field.name]):
            flags |= flat_fields(hints[field.name], field.default_factory())
        else:
            default = field.default if defaults is None else getattr(defaults, field.name)
            flag = dataclasses.field(default=default, metadata=field.metadata)
            flag.type = hints[field.name]
            flags[field.name] = flag
    return flags


def nest(config_type: type, values: dict[str, Any]) -> Any:
    """Build `config_type`, and the dataclasses in it, from flat values."""
    hints = typing.get_type_hints(config_type)
    arguments = {}
    for field in dataclasses.fields(config_type):
        hint = hints[field.name]
        arguments[field.name] = nest(hint, values) if dataclasses.is_dataclass(hint) else values[field.name]
    return config_type(**arguments)


def gather_positional(argv: list[str], flags: dict[str, dataclasses.Field]) -> list[str]:
    """Pass positional arguments as one flag to the field that takes a tuple; without such a field they are errors."""
    taker = next((name for name, field in flags.items() if typing.get_origin(field.type) is tuple), None)
    kept, loose, rest = [], [], list(argv)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--") or argument == "--":
            if taker is None or argument.startswith("-"):
                raise FlagError(f"{argument}: unexpected argument; flags are given as --flag value or --flag=value")
            loose.append(argument)
            continue
        name, equals, _ = argument[2:].partition("=")
        field = flags.get(name.replace("-", "_"))
        negated = flags.get(name.removeprefix("no"))  # --noflag, only for booleans
        if field is None and (negated is None or negated.type is not bool):
            raise FlagError(f"--{name}: unknown flag; --help lists them all")
        kept.append(argument)
        takes_value = field is not None and (field.type is not bool or (rest and rest[0].lower() in BOOLEANS))
        if takes_value and not equals:
            if not rest or (rest[0].startswith("--") and len(rest[0]) > 2):
                raise FlagError(f"--{name}: missing value")
            kept[-1] += f"={rest.pop(0)}"
        if field is not None and field is flags.get(taker):
            loose.append(kept.pop().partition("=")[2])
    if loose:
        kept.append(f"--{taker}=" + "\n".join(loose))
    return kept


def parser(name: str, hint: Any, errors: list[str]) -> Callable[[str], Any]:
    """The parse function of a flag. It appends errors to `errors`: if it raised, fire would print a traceback."""
    if isinstance(hint, types.UnionType):  # `int | None`: the flag, if given, is an int
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    several = typing.get_origin(hint) is tuple
    kind = typing.get_args(hint)[0] if several else hint
    convert = next(iter(getattr(kind, "__metadata__", ())), None)
    expected = {int: "a whole number", float: "a number", bool: "True or False"}.get(hint, "text")

    def parse_value(text: str) -> Any:
        try:
            if hint is bool:
                return BOOLEANS[text.lower()]
            if hint is int and not -LARGEST <= int(text) < LARGEST:
                raise ValueError
            values = tuple(map(convert or kind, text.split("\n") if several else [text]))
            return values if several else values[0]
        except (KeyError, ValueError) as error:
            errors.append(f"--{name} {error}" if convert else f"--{name} {text}: expected {expected}")
            return text

    return parse_value


def fire_message(stop: FireExit) -> str:
    """Fire's error in one line."""
    trace = (
        stop.trace.elements[-1].ErrorAsStr() if stop.trace and stop.trace.elements[-1].HasError() else "bad arguments"
    )
    return f"{trace}; --help lists the flags"


def help_text(config_type: type) -> str:
    """The command, its summary, and every flag with its default and explanation."""
    script = os.path.basename(sys.argv[0])
    summary, *_ = (config_type.__doc__ or "").strip().split("\n\n")
    lines = [f"python {script} [--flag value ...]", "", " ".join(summary.split()), ""]
    explained = explanations(config_type)
    for name, field in flat_fields(config_type).items():
        kind = getattr(field.type, "__name__", str(field.type)).replace(" | None", "").replace("Annotated", "path")
        default = "" if field.default in ("", None, ()) else f", default {field.default}"  # others are in the text
        lines += [f"  --{name} ({kind}{default})", f"      {explained.get(name, '')}"]
    return "\n".join(lines)


def explanations(config_type: type) -> dict[str, str]:
    """Flag -> its explanation in the Args of its dataclass, or of the dataclass that it extends."""
    texts = {}
    for kind in filter(dataclasses.is_dataclass, reversed(config_type.__mro__)):
        args = inspect.cleandoc(kind.__doc__ or "").partition("\nArgs:\n")[2]
        # A name at the first indentation; its text goes on in deeper lines, which may contain a colon too.
        for names, text in re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {5,}.*)*)", args, re.MULTILINE):
            texts |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    for hint in typing.get_type_hints(config_type).values():
        if dataclasses.is_dataclass(hint):
            texts |= explanations(hint)
    return texts
