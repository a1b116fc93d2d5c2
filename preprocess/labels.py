"""Label words of the values in a label column: from a mapping, class names, a list of words, or numbers.

Values are compared as strings, stripped, in Unicode's normal form NFC. `true` in JSON is `true` or `True` in a mapping,
1.0 is 1, and `01` is not 1. Nothing is guessed: ambiguous labels are refused, with a mapping to paste.
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
ACCENTS = re.compile("[\u0300-\u036f]")  # of Latin, Greek and Cyrillic letters, not the marks of other scripts
SHOWN = 200  # maximum number of values in a mapping to paste; more are hardly labels


@dataclass(frozen=True)
class Labels:
    """The label words of a data set, as configured.

    Args:
        words: The label words, in order.
        values: Value -> label word, if label_words is a mapping.
        numbered: Whether label_words is a list: the labels themselves, or the words of consecutive numbers.
        first: Number of the first word; None: 0 or 1, as the numbers in the column prove.
        ignore_case: Whether values are compared in lower case, as in `values`.
    """

    words: tuple[str, ...]
    values: Mapping[str, str] = field(default_factory=dict)
    numbered: bool = False
    first: int | None = None
    ignore_case: bool = False

    def known(self, value: Any) -> str | None:
        """The label word of a value in the mapping; None if it is not in it."""
        ways = spellings(value)
        return next((self.values[way] for way in map(self.fold, ways) if way in self.values), None)

    def fold(self, value: str) -> str:
        """A value in the case in which values are compared."""
        return value.lower() if self.ignore_case else value


@dataclass(frozen=True)
class Column:
    """A label column, as read.

    Args:
        name: Name of the column.
        values: One for each row.
        classes: The names of its classes, if it has any; the values are then class numbers.
        place: The beginning of messages about a row, or about the column for None.
        cite: The end of messages.
    """

    name: str
    values: Sequence[Any]
    classes: Sequence[str] | None
    place: Callable[[int | None], str]
    cite: str = ""

    def mistake(self, message: str, row: int | None = None) -> InputError:
        """The error for a row, or for the column."""
        return InputError(f"{self.place(row)}: {message}{self.cite}")

    @cached_property
    def distinct(self) -> dict[tuple[type, Any], int]:
        """Each distinct (type, value) -> the first row with it. The type separates 1 from True."""
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
    """A hashable key of a value, with its type."""
    return type(value), value if isinstance(value, Hashable) else repr(value)


def normal(text: str) -> str:
    """`text` stripped and in the normal form in which labels are compared."""
    return unicodedata.normalize("NFC", text.strip())


def spellings(value: Any) -> tuple[str, ...]:
    """The spellings of a value; the last one is used in messages. Empty for types that are not labels."""
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
    """Whether a value is a whole number, of any type."""
    return NUMBER.fullmatch(spellings(value)[-1]) is not None


def read_labels(labels: Labels, column: Column) -> list[str]:
    """The label word of each row.

    Raises:
        InputError: A value has no label word, or its label word is ambiguous.
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
        expected = f"a label; write a nested column with a dot, as in `label: {column.name}.{nested}`"
        column.refuse(lambda value: isinstance(value, dict), expected)
    column.refuse(lambda value: not any(spellings(value)), one_of(labels.values) if labels.values else "a label")
    word_of = {key: labels.known(key[1]) for key in column.distinct}
    unknown = [value for (_, value), word in word_of.items() if word is None]
    if unknown:
        words = words_of_list(labels, column, unknown)
        word_of |= {key_of(value): words[spellings(value)[-1]] for value in unknown}
    return [word_of[key_of(value)] for value in column.values]


def words_of_classes(labels: Labels, column: Column) -> list[str | None]:
    """The label word of each class of a column with class names, matched by name, else by position."""
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
        raise column.mistake(f"{shown}, numbered from 0, which contradicts first_label {labels.first}")
    if len(names) != len(words) or is_reversed(labels.words, names):
        raise column.mistake(f"{shown}; their label words are ambiguous: {to_paste(names, labels.words)}")
    return list(labels.words)


def words_of_list(labels: Labels, column: Column, unknown: Sequence[Any]) -> dict[str, str]:
    """The last spelling of each value that is not in the mapping -> its word in the list."""
    if not labels.numbered:
        column.refuse(lambda value: labels.known(value) is None, one_of(labels.values))
    if labels.values:  # names are known, so the rest must be numbers
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
        what = f"{column.name} contains {listed(sorted(shortest))}, expected the label words {listed(labels.words)}"
        raise column.mistake(f"{what}; {to_paste(sorted(shortest), labels.words)}")
    first = find_first(labels, column, numbers)
    counted = {str(first + number): word for number, word in enumerate(labels.words)}
    known = f" or {', '.join(labels.values)}" if labels.values else ""
    column.refuse(
        lambda value: labels.known(value) is None and spellings(value)[-1] not in counted, one_of(counted) + known
    )
    return counted


def find_first(labels: Labels, column: Column, numbers: set[int]) -> int:
    """The number of the first label word: as declared, or 0 or 1, as the numbers prove."""
    count = len(labels.words)
    if labels.first is not None:
        return labels.first
    if 0 in numbers and count in numbers:
        raise column.mistake(f"{column.name} contains both 0 and {count}, expected {count} numbers from 0 or from 1")
    if numbers <= set(range(1, count)):
        values = listed([str(number) for number in sorted(numbers)])
        raise column.mistake(
            f"{column.name} contains {values}, neither 0 nor {count}: it may count from 0 or from 1; set "
            "--first_label 0 or --first_label 1 (first_label in a YAML file)"
        )
    return int(count in numbers)


def is_reversed(words: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a word resembles the name of another class, but not that of its own class."""
    return any(
        not are_alike(word, names[place]) and any(are_alike(word, name) for name in names)
        for place, word in enumerate(words)
    )


def are_alike(one: str, other: str) -> bool:
    """Whether one text is a prefix of the other, ignoring case, accents and other characters than letters and digits:
    neg, Negative."""
    plain = (ACCENTS.sub("", unicodedata.normalize("NFD", text)).casefold() for text in (one, other))
    first, second = ("".join(filter(str.isalnum, unicodedata.normalize("NFC", text))) for text in plain)
    return bool(first and second) and (first.startswith(second) or second.startswith(first))


def to_paste(values: Sequence[str], words: Sequence[str]) -> str:
    """Advice with a line of YAML that maps values to words, by similarity, else in order; the user must check it."""
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
    return f"use a mapping (check its pairs), such as label_words: {written.strip()}"


def listed(values: Sequence[str]) -> str:
    """At most ten values, for a message."""
    return ", ".join(values[:10]) + (f" and {len(values) - 10} more" if len(values) > 10 else "")


def one_of(values: Iterable[str]) -> str:
    """The expected values, for a message."""
    return f"one of {', '.join(values)}"
