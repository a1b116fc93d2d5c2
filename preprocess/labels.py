"""What the values of a label column stand for: from a mapping, the names of classes, a list of words, or numbers.

Values are compared as they are written, stripped, in Unicode's form NFC. `true` of JSON is `true` or `True` of a
mapping, 1.0 is 1; `01` is not 1. Nothing is guessed: what is not certain is refused, with a mapping to paste.
"""

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import yaml

from preprocess.errors import InputError

NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
WHOLE = re.compile(r"(0|-?[1-9][0-9]*)\.0+")
SHOWN = 200  # values in a mapping to paste; a column of more is hardly one of labels


@dataclass(frozen=True)
class Labels:
    """What a data set says of its labels.

    Args:
        words: The label words, in their order.
        values: Value as it is written -> label word, of a mapping.
        numbered: Whether the words are those of numbers that count up, or the labels themselves: a list.
        first: The number of the first word; None: 0 or 1, whichever the numbers in the column prove.
        ignore_case: Values are those of `values` in lower case.
    """

    words: tuple[str, ...]
    values: Mapping[str, str] = field(default_factory=dict)
    numbered: bool = False
    first: int | None = None
    ignore_case: bool = False

    def known(self, value: Any) -> str | None:
        """The label word of a value that the mapping has."""
        ways = spellings(value)
        return next((self.values[way] for way in map(self.fold, ways) if way in self.values), None)

    def fold(self, value: str) -> str:
        return value.lower() if self.ignore_case else value


@dataclass(frozen=True)
class Column:
    """A label column as it was read.

    Args:
        name: Of the column.
        values: One a row.
        classes: The names of its classes, if it has such; its values are then their numbers.
        place: Of a row, or of the column where that is None: messages begin with it.
        cite: Messages end with it.
    """

    name: str
    values: Sequence[Any]
    classes: Sequence[str] | None
    place: Callable[[int | None], str]
    cite: str = ""

    def mistake(self, message: str, row: int | None = None) -> InputError:
        return InputError(f"{self.place(row)}: {message}{self.cite}")

    @cached_property
    def distinct(self) -> dict[tuple[type, Any], int]:
        """Each value, with its type since 1 equals True, and the row where it stands first."""
        first: dict[tuple[type, Any], int] = {}
        for row, value in enumerate(self.values):
            first.setdefault(key_of(value), row)
        return first

    def refuse(self, wrong: Callable[[Any], bool], expected: str) -> None:
        """Raises InputError for the first value that is `wrong`."""
        for row in self.distinct.values():
            if wrong(self.values[row]):
                raise self.mistake(f"{self.name} {self.values[row]!r}, expected {expected}", row)


def key_of(value: Any) -> tuple[type, Any]:
    return type(value), value if isinstance(value, Hashable) else repr(value)


def normal(text: str) -> str:
    """As labels are compared."""
    return unicodedata.normalize("NFC", text.strip())


def spellings(value: Any) -> tuple[str, ...]:
    """How a value may be written; the last way is the one that it is called by. None of what is no label."""
    if isinstance(value, bool):
        return (str(value), str(value).upper(), str(value).lower())
    if isinstance(value, float):
        written = () if value != value else (repr(value),)
        return (*written, str(int(value))) if value.is_integer() else written
    if isinstance(value, int):
        return (str(value),)
    if isinstance(value, str):
        written = normal(value)
        whole = WHOLE.fullmatch(written)
        return (written, whole[1]) if whole else (written,)
    return ()


def is_number(value: Any) -> bool:
    return NUMBER.fullmatch(spellings(value)[-1]) is not None


def read_labels(labels: Labels, column: Column) -> list[str]:
    """The label word of each row.

    Raises:
        InputError: A value that no word stands for, or one that several may stand for.
    """
    if column.classes:
        names, numbers = column.classes, range(len(column.classes))
        column.refuse(lambda value: type(value) is not int or value not in numbers, one_of(map(str, numbers)))
        if labels.numbered and all(map(NUMBER.fullmatch, names)):
            return read_labels(labels, replace(column, values=[names[value] for value in column.values], classes=None))
        words = words_of_classes(labels, column)
        column.refuse(lambda value: words[value] is None, one_of(labels.values))
        return [words[value] for value in column.values]
    nested = next((name for value in column.values if isinstance(value, dict) for name in value), None)
    if nested is not None:
        expected = f"a label; one in it is written with a dot, as in `label: {column.name}.{nested}`"
        column.refuse(lambda value: isinstance(value, dict), expected)
    column.refuse(lambda value: not any(spellings(value)), one_of(labels.values) if labels.values else "a label")
    found = {key: labels.known(key[1]) for key in column.distinct}
    unknown = [value for (_, value), word in found.items() if word is None]
    if unknown:
        words = words_of_list(labels, column, unknown)
        found |= {key_of(value): words[spellings(value)[-1]] for value in unknown}
    return [found[key_of(value)] for value in column.values]


def words_of_classes(labels: Labels, column: Column) -> list[str | None]:
    """The label word of each class of a column that names them. Names decide; positions where they say nothing."""
    names = [normal(name) for name in column.classes or ()]
    known = [labels.known(name) for name in names]
    if labels.values and (not labels.numbered or all(known)):
        by_name = set(labels.values) <= {labels.fold(name) for name in names} or all(known)
        return known if by_name else [labels.known(number) for number in range(len(names))]
    words = {normal(word): word for word in labels.words}
    if set(words) == set(names):
        return [words[name] for name in names]
    shown = f"the classes of the column are {', '.join(names)}"
    if labels.first:
        raise column.mistake(f"{shown}, numbered from 0: first_label {labels.first} is not theirs")
    if len(names) != len(words) or is_reversed(labels.words, names):
        raise column.mistake(f"{shown}; which label word is whose? {to_paste(names, labels.words)}")
    return list(labels.words)


def words_of_list(labels: Labels, column: Column, unknown: Sequence[Any]) -> dict[str, str]:
    """The shortest spelling of each value that no mapping has -> its word in the list."""
    if not labels.numbered:
        column.refuse(lambda value: labels.known(value) is None, one_of(labels.values))
    if labels.values:  # names are known, so that nothing but numbers is left to be
        expected = f"a number, or {one_of(labels.values)}"
        column.refuse(lambda value: labels.known(value) is None and not is_number(value), expected)
    words = {normal(word): word for word in labels.words}
    themselves = {
        spellings(value)[-1]: words[way] for value in unknown for way in reversed(spellings(value)) if way in words
    }
    shortest = {spellings(value)[-1] for value in unknown}
    if shortest == set(themselves) and len(set(themselves.values())) == len(words):
        return themselves
    numbers = {int(way) for way in shortest if NUMBER.fullmatch(way)}
    if not numbers or (len(numbers) == len(shortest) and themselves):
        what = f"{column.name} holds {listed(sorted(shortest))}, not exactly the label words {listed(labels.words)}"
        raise column.mistake(f"{what}; which is whose? {to_paste(sorted(shortest), labels.words)}")
    first = find_first(labels, column, numbers)
    counted = {str(first + number): word for number, word in enumerate(labels.words)}
    known = f" or {', '.join(labels.values)}" if labels.values else ""
    column.refuse(
        lambda value: labels.known(value) is None and spellings(value)[-1] not in counted, one_of(counted) + known
    )
    return counted


def find_first(labels: Labels, column: Column, numbers: set[int]) -> int:
    """The number of the first label word: as it is declared, or 0 or 1, whichever the numbers prove."""
    count = len(labels.words)
    if labels.first is not None:
        return labels.first
    if 0 in numbers and count in numbers:
        raise column.mistake(f"{column.name} holds both 0 and {count}, expected {count} numbers from 0 or from 1")
    if numbers <= set(range(1, count)):
        held = listed([str(number) for number in sorted(numbers)])
        raise column.mistake(
            f"{column.name} holds {held}, neither 0 nor {count}: it may count from 0 or from 1; say which by "
            "--first_label 0 or --first_label 1 (first_label in a YAML file)"
        )
    return int(count in numbers)


def is_reversed(words: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a word is like the name of another class, and not like that of its own."""
    return any(
        not are_alike(word, names[place]) and any(are_alike(word, name) for name in names)
        for place, word in enumerate(words)
    )


def are_alike(one: str, other: str) -> bool:
    """Whether one begins with the other, letters and digits alone, case aside: neg, Negative."""
    first, second = ("".join(filter(str.isalnum, text)).casefold() for text in (one, other))
    return bool(first and second) and (first.startswith(second) or second.startswith(first))


def to_paste(values: Sequence[str], words: Sequence[str]) -> str:
    """A line of YAML that maps values to words: like to like, then in their order; to be checked by who pastes it."""
    if len(values) > SHOWN:
        return f"the column has {len(values)} different values"
    left = list(words)
    pairs: dict[str, str] = {}
    for value in values:
        like = next((word for word in left if are_alike(word, value)), None)
        if like is not None:
            pairs[value] = like
            left.remove(like)
    for value in values:
        if value not in pairs:
            pairs[value] = left.pop(0) if left else value
    pairs |= {word: word for word in left}
    mapping = {value: pairs[value] for value in (*values, *left)}
    written = yaml.safe_dump(mapping, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**9)
    return f"use a mapping, such as label_words: {written.strip()}"


def listed(values: Sequence[str]) -> str:
    return ", ".join(values[:10]) + (f" and {len(values) - 10} more" if len(values) > 10 else "")


def one_of(values: Iterable[str]) -> str:
    return f"one of {', '.join(values)}"
