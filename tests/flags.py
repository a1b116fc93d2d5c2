"""Tests of the flags of a script: each value alone, and every pair of values in as few commands as a greedy search
finds (pairwise coverage)."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from options import flat_fields, parse
from llama.errors import CheckpointError
from preprocess.errors import InputError

Command = dict[str, str]  # flag -> value


@dataclass(frozen=True)
class Walk:
    """The flags of a script with valid values. Paths are relative to the working directory of the test.

    Args:
        script: Its name without run_ and .py.
        config, function: The configuration and the function of the script.
        base: Flags of the smallest run; what is tried replaces them, and drives out what it is refused with. `{new}` is
            a path that is not there yet.
        values: The values of each flag to try; of an enumeration all.
        needs: `flag` or `flag=value` -> other flags that it requires.
        apart: Pairs of `flag` or `flag=value` that cannot be combined.
        elsewhere: Flags that no test can use here, and why.
    """

    script: str
    config: type
    function: Callable[[Any], None]
    base: Mapping[str, str]
    values: Mapping[str, Sequence[object]]
    needs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    apart: Sequence[tuple[str, str]] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def items(self) -> list[tuple[str, str]]:
        """Every flag with every value."""
        return [(flag, str(value)) for flag, values in self.values.items() for value in values]

    def command(self, items: Sequence[tuple[str, str]]) -> Command | None:
        """The base with the items and the flags that they need; None if they cannot be combined."""
        command, queue = dict(items), list(items)
        while queue:
            flag, value = queue.pop()
            for other, needed in (self.needs.get(flag, {}) | self.needs.get(f"{flag}={value}", {})).items():
                if other not in command:
                    command[other] = needed
                    queue.append((other, needed))
                elif command[other] != needed:
                    return None
        if any(self.are_apart(*pair) for pair in itertools.combinations(command.items(), 2)):
            return None
        kept = [item for item in self.base.items() if not any(self.are_apart(item, other) for other in command.items())]
        return dict(kept) | command

    def are_apart(self, item: tuple[str, str], other: tuple[str, str]) -> bool:
        one, two = ({flag, f"{flag}={value}"} for flag, value in (item, other))
        return any((a in one and b in two) or (b in one and a in two) for a, b in self.apart)

    def alone(self) -> list[Command]:
        """A command for each value of each flag except the defaults."""
        defaults = {(flag, str(found.default)) for flag, found in flat_fields(self.config).items()}
        return [self.command([item]) for item in self.items() if item not in defaults]

    def pairs(self) -> list[tuple[tuple[str, str], tuple[str, str]]]:
        """All pairs of items of different flags that can be combined."""
        two = itertools.combinations(self.items(), 2)
        return [pair for pair in two if pair[0][0] != pair[1][0] and self.command(pair) is not None]

    def covering(self) -> list[Command]:
        """Commands in which every pair occurs."""
        left = dict.fromkeys(map(frozenset, self.pairs()))
        commands = []
        while left:
            chosen = list(next(iter(left)))
            for flag in sorted(self.values.keys() - {flag for flag, _ in chosen}):
                options = [(flag, str(value)) for value in self.values[flag]]
                fitting = [item for item in options if self.command([*chosen, item]) is not None]
                gains = [sum(frozenset((item, other)) in left for other in chosen) for item in fitting]
                if fitting:
                    chosen.append(fitting[gains.index(max(gains))])
            for pair in map(frozenset, itertools.combinations(chosen, 2)):
                left.pop(pair, None)
            commands.append(self.command(chosen))
        return commands

    def parse(self, command: Command, new: str = "new") -> Any:
        return parse(self.config, [f"--{flag}={value.replace('{new}', new)}" for flag, value in command.items()])

    def check(self) -> None:
        """No flag of --help is left out, no value is in no command, and every pair is parsed and passes the checks of
        its dataclass."""
        assert {*self.base, *self.values, *self.elsewhere} == {*flat_fields(self.config)}
        assert [item for item in self.items() if self.command([item]) is None] == []
        self.run(self.covering(), lambda _: None)

    def run(self, commands: Sequence[Command], function: Callable[[Any], None] | None = None) -> None:
        """Run every command with a new path of its own; report all that are refused."""
        refused = []
        for number, command in enumerate(commands):
            try:
                (function or self.function)(self.parse(command, f"new/{number}"))
            except (CheckpointError, InputError) as error:
                refused.append(f"run_{self.script}.py {shown(command)}: {error}")
        if refused:
            pytest.fail("\n".join(refused))

    def refuse(self, item: str, message: str) -> None:
        """Check that `flag=value` is refused in one line that begins with `message`."""
        flag, _, value = item.partition("=")
        with pytest.raises(InputError) as error:
            self.function(self.parse(self.base | {flag: value}))
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)


def shown(command: Command) -> str:
    return " ".join(f"--{flag}={value}" for flag, value in command.items())
