"""(dataclass, function) -> a command line.

    from options import run
    run(Config, function)     # parses sys.argv into Config, calls function(Config(...)), exits

python-fire builds the dataclass and nothing else. Types of the fields decide how a value is parsed, since fire alone
turns `7` into a number, `{text}` into a set and keeps `--limit abc` as text. What `Annotated` adds to a type is called
on the value: so a path becomes one before anything uses it. A field whose type is itself a dataclass
contributes its fields as flags of their own; their defaults are those of its default_factory. The docstrings' Args are
the help.
"""

import contextlib
import dataclasses
import io
import os
import re
import sys
import time
import traceback
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

USAGE_ERROR, INTERRUPTED = 2, 130
SECONDS_FOR_RANK_0 = 10.0  # to say the line that all ranks have to say, before torchrun ends it
LONGEST_MESSAGE = 1600  # characters: what a terminal shows at once; the flag to mend stands at the end
# What commands a terminal, reorders or breaks lines: control characters but tab and line break, and half a pair.
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
OF_BARS = re.compile("\r|\x1b\\[A")  # with which tqdm draws
LARGEST = 2**63  # of whole numbers: what is computed with them has 64 bits
BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def harmless(text: str) -> str:
    """Text for a terminal: what would command it is spelled out, as ids and names in files may hold it."""
    return COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Harmless:
    """A stream whose text is harmless, and of characters that its encoding lacks the escapes.

    Args:
        stream: To write to.
        bars: Whether what draws a progress bar is let through.
    """

    def __init__(self, stream: typing.TextIO, bars: bool = False):
        self.stream = stream
        self.bars = bars
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        parts = re.split(f"({OF_BARS.pattern})", text) if self.bars else [text]
        self.stream.write("".join(part if self.bars and OF_BARS.fullmatch(part) else harmless(part) for part in parts))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def one_message(error: BaseException) -> str:
    """What an exception says, as one line that a screen holds: of a longer one the beginning and the end."""
    line = harmless(" ".join(str(error).split()))
    if len(line) > LONGEST_MESSAGE:
        line = f"{line[: LONGEST_MESSAGE * 3 // 4]} … {line[-LONGEST_MESSAGE // 4 :]}"
    return f"error: {line}"


def leave(status: int, line: str) -> None:
    """Say the line once, on rank 0, and end at once: after an error there is no barrier to wait at."""
    on_rank_0 = os.environ.get("RANK", "0") in ("0", "") or not os.environ["RANK"].isdecimal()
    if not on_rank_0 and status != INTERRUPTED:  # a terminal interrupts all ranks at once
        time.sleep(SECONDS_FOR_RANK_0)
    sys.stdout.flush()
    if on_rank_0 or status != INTERRUPTED:
        print(line, file=sys.stderr, flush=True)
    if "torch" in sys.modules:  # its threads and process groups abort a normal exit
        os._exit(status)
    sys.exit(status)


def in_one_line(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """The excepthook: what ends a script while it imports, before `run`, is one line as well."""
    if issubclass(kind, KeyboardInterrupt):
        leave(INTERRUPTED, "interrupted")
    requirements = requirements_of(error, trace) if isinstance(error, ImportError) and error.name else None
    if requirements is not None:
        leave(USAGE_ERROR, f"error: {' '.join(str(error).split())}: {environment_hint()}pip install -r {requirements}")
    sys.__excepthook__(kind, error, trace)


sys.excepthook = in_one_line


def environment_hint() -> str:
    """Where `make demo` has made an environment that this Python is not of, its packages may be all that is missing."""
    environment = Path(__file__).resolve().parent / ".venv"
    outside = environment.is_dir() and Path(sys.prefix).resolve() != environment.resolve()
    return ". .venv/bin/activate, or " if outside else ""


def requirements_of(error: ImportError, trace: Any) -> str | None:
    """The requirements file of the folder whose import failed; None where the module is one of ours.

    Of a module that is there, it may be what it lacks: another version than the pinned one.
    """
    here = Path(__file__).resolve().parent
    name = (error.name or "").partition(".")[0]
    if (here / name).is_dir() or (here / f"{name}.py").exists():
        return None
    folders = [Path(frame.filename).resolve().parent for frame in traceback.extract_tb(trace)]
    own = [f"requirements-{folder.name}.txt" for folder in folders if here in folder.parents]
    return next((file for file in reversed(own) if (here / file).exists()), "requirements.txt")


# After the hook: a first command outside of the environment ends here.
import fire  # noqa: E402
from fire.core import FireExit  # noqa: E402
from fire.decorators import SetParseFns  # noqa: E402
from fire.docstrings import parse as parse_docstring  # noqa: E402


def run(config_type: type, function: Callable[[Any], None], argv: Sequence[str] | None = None) -> None:
    """Parse, call, exit: 0; 2 with one line for what a user can mend; 130 for Ctrl-C.

    An exception is the user's to mend if it says so by an `exit_status`, or is an OSError (no space, no permission).
    """
    try:
        check_environment()
        config = parse(config_type, list(sys.argv[1:] if argv is None else argv))
        with (
            contextlib.redirect_stdout(Harmless(sys.stdout)),
            contextlib.redirect_stderr(Harmless(sys.stderr, bars=True)),
        ):
            function(config)
    except KeyboardInterrupt:
        leave(INTERRUPTED, "interrupted")
    except (OSError, ValueError) as error:
        status = getattr(error, "exit_status", USAGE_ERROR if isinstance(error, OSError) else None)
        if status is None:
            raise
        leave(status, one_message(error))


class FlagError(ValueError):
    """A command line, or a variable of the launcher, that cannot be parsed."""

    exit_status = USAGE_ERROR


def check_environment() -> None:
    """What torchrun sets are numbers; anything else was left over, or set by hand.

    Raises:
        FlagError: One is not.
    """
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        value = os.environ.get(name, "0")
        if not (value.isdecimal() and value.isascii() and len(value) < 10):
            raise FlagError(f"environment variable {name} is {value!r}, expected a number of torchrun's; unset {name}")


def parse(config_type: type, argv: list[str]) -> Any:
    """`argv` as an instance of `config_type`; exits with 0 after --help.

    Raises:
        FlagError: An unknown flag, a value of the wrong type, an argument that belongs to no flag.
    """
    flags = flat_fields(config_type)
    if "--help" in argv or "-h" in argv:
        print(help_text(config_type))
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
    """The flags of a dataclass, those of nested dataclasses among them, with their types resolved.

    Args:
        defaults: An instance that holds other defaults than the class does.
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
    """Give arguments that follow no flag to the field that takes a tuple, as one flag; refuse them without one."""
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
        negated = flags.get(name.removeprefix("no"))  # --noflag, of True or False alone
        if field is None and (negated is None or negated.type is not bool):
            raise FlagError(f"--{name}: unknown flag; --help lists them all")
        kept.append(argument)
        takes_value = field is not None and (field.type is not bool or (rest and rest[0].lower() in BOOLEANS))
        if takes_value and not equals:
            if not rest or (rest[0].startswith("--") and len(rest[0]) > 2):
                raise FlagError(f"--{name}: expected a value, found none")
            kept[-1] += f"={rest.pop(0)}"
        if field is not None and field is flags.get(taker):
            loose.append(kept.pop().partition("=")[2])
    if loose:
        kept.append(f"--{taker}=" + "\n".join(loose))
    return kept


def parser(name: str, hint: Any, errors: list[str]) -> Callable[[str], Any]:
    """The parse function of a flag. It never raises, since fire would show a traceback: it notes the error."""
    if isinstance(hint, types.UnionType):  # `int | None`: the flag, where given, is an int
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
    """What fire found, in a line."""
    trace = (
        stop.trace.elements[-1].ErrorAsStr() if stop.trace and stop.trace.elements[-1].HasError() else "bad arguments"
    )
    return f"{trace}; --help lists the flags"


def help_text(config_type: type) -> str:
    """The command, what it does, and every flag with its default and its explanation."""
    script = os.path.basename(sys.argv[0])
    summary, *_ = (config_type.__doc__ or "").strip().split("\n\n")
    lines = [f"python {script} [--flag value ...]", "", " ".join(summary.split()), ""]
    explained = explanations(config_type)
    for name, field in flat_fields(config_type).items():
        kind = getattr(field.type, "__name__", str(field.type)).replace(" | None", "").replace("Annotated", "path")
        default = "" if field.default in ("", None, ()) else f", default {field.default}"  # a computed one is explained
        lines += [f"  --{name} ({kind}{default})", f"      {explained.get(name, '')}"]
    return "\n".join(lines)


def explanations(config_type: type) -> dict[str, str]:
    """Flag -> its line in the Args of the docstring of its dataclass."""
    found = {}
    for argument in parse_docstring(config_type.__doc__ or "").args or []:
        found[argument.name] = " ".join((argument.description or "").split())
    for hint in typing.get_type_hints(config_type).values():
        if dataclasses.is_dataclass(hint):
            found |= explanations(hint)
    return found
