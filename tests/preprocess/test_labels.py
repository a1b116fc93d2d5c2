"""The meaning of values of a label column; ambiguous ones are refused, with a mapping to paste."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from preprocess.errors import InputError
from preprocess.labels import Column, Labels, are_alike, read_labels, to_paste

NEWS = ("World", "Sports", "Business", "Science and technology")
NEWS_NAMES = ["World", "Sports", "Business", "Sci/Tech"]


def column(values: Sequence[Any], classes: Sequence[str] | None = None) -> Column:
    return Column("label", values, classes, lambda row: "set" if row is None else f"set row {row}", " (films.yaml:5)")


def listed(*words: str, first: int | None = None) -> Labels:
    return Labels(words, numbered=True, first=first)


def mapped(**values: str) -> Labels:
    return Labels(tuple(values.values()), values)


@pytest.mark.parametrize(
    ("values", "column_values", "expected"),
    [
        ({"01": "A", "1": "B", "2": "C"}, ["01", "1", "2", 1], "ABCB"),
        ({"True": "A", "False": "B"}, ["True", "False", True, False], "ABAB"),
        ({"true": "A", "false": "B"}, [True, False], "AB"),
        ({"1": "A", "2": "B"}, [1, 2.0, "1.0", " 2 ", "2.00"], "ABABB"),
        ({"1.0": "A", "1": "B"}, ["1.0", 1.0, "1", 1], "AABB"),
        ({"0.5": "A", "-1": "B"}, [0.5, "0.5", -1, "-1", -1.0], "AABBB"),
        ({"caf\xe9": "A", "e": "B"}, ["cafe\u0301", "caf\xe9", "e"], "AAB"),
        ({"null": "A", "nan": "B"}, ["null", "nan"], "AB"),
    ],
)
def test_a_mapping_is_used_as_written(values: dict[str, str], column_values: list[Any], expected: str):
    assert "".join(read_labels(mapped(**values), column(column_values))) == expected


@pytest.mark.parametrize(
    ("words", "column_values", "expected"),
    [
        ("A B", [0, 1, "0", 1.0, "1.0"], "A B A B B"),
        ("A B", [2, 1], "B A"),  # 2 is beyond what counts from 0
        ("A B", [0], "A"),
        ("A B", [2], "B"),
        ("ham spam", ["spam", "ham", " spam "], "spam ham spam"),
        ("1 0", ["0", "1", 1], "0 1 1"),
        ("1 2 3", [3, 1, 2], "3 1 2"),
        ("True False", [False, True], "False True"),
        ("cafe\u0301 x", ["caf\xe9", "x"], "cafe\u0301 x"),
        ("0 1", [1, 0], "1 0"),
        ("9" * 5000 + " B", ["B", "9" * 5000], "B " + "9" * 5000),
    ],
)
def test_a_list_is_the_labels_themselves_or_counts_up(words: str, column_values: list[Any], expected: str):
    assert read_labels(listed(*words.split()), column(column_values)) == expected.split()


@pytest.mark.parametrize(("first", "expected"), [(0, ["B", "C"]), (1, ["A", "B"])])
def test_ambiguous_numbers_need_a_declaration(first: int, expected: list[str]):
    assert read_labels(listed("A", "B", "C", first=first), column(["1", "2"])) == expected


@pytest.mark.parametrize(
    ("words", "names", "expected"),
    [
        ("Negative Positive", "neg pos", "Negative Positive"),
        ("pos neg", "neg pos", "neg pos"),  # the names themselves, in another order
        ("Bad Good", "neg pos", "Bad Good"),
        ("A B C", "1 2 3", "A B C"),  # named for numbers that count from 1
        ("A B C D E F G H I J K", "1 10 11 2 3 4 5 6 7 8 9", "A J K B C D E F G H I"),  # sorted as texts
    ],
)
def test_names_of_classes_take_precedence_over_their_order(words: str, names: str, expected: str):
    count = len(names.split())
    assert read_labels(listed(*words.split()), column(range(count), names.split())) == expected.split()


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        ({"pos": "A", "neg": "B"}, "neg pos", "BA"),
        ({"1": "A", "0": "B"}, "neg pos", "BA"),
        ({"2": "A", "1": "B"}, "1 2", "BA"),  # by name, though 1 is a position too
        ({"1": "A", "0": "B"}, "0 1", "BA"),
    ],
)
def test_a_mapping_may_name_the_classes_or_their_numbers(values: dict[str, str], names: str, expected: str):
    assert "".join(read_labels(mapped(**values), column([0, 1], names.split()))) == expected


def test_known_names_may_be_mixed_with_numbers():
    labels = Labels(NEWS, {name.lower(): word for name, word in zip(NEWS_NAMES, NEWS, strict=True)}, True, None, True)
    assert read_labels(labels, column(["SCI/TECH", "1", 0, "world"])) == [NEWS[3], NEWS[1], NEWS[0], NEWS[0]]
    turned = column(range(4), NEWS_NAMES[::-1])
    assert read_labels(labels, turned) == list(NEWS[::-1])
    with pytest.raises(InputError, match=r"^set row 1: label 'Opinion', expected a number, or one of world, sports, "):
        read_labels(labels, column([0, "Opinion"]))


@pytest.mark.parametrize(
    ("labels", "values", "names", "message"),
    [
        (mapped(a="A", b="B"), ["a", "c"], None, "set row 1: label 'c', expected one of a, b (films.yaml:5)"),
        (mapped(a="A", b="B"), ["a", None], None, "set row 1: label None, expected one of a, b (films.yaml:5)"),
        (mapped(a="A", b="B"), [["a"]], None, "set row 0: label ['a'], expected one of a, b (films.yaml:5)"),
        (
            mapped(a="A", b="B"),
            ["a", {"name": "b", "id": 1}],
            None,
            "set row 1: label {'name': 'b', 'id': 1}, expected a label; write a nested column with a dot, as in",
        ),
        (mapped(a="A", b="B"), [""], None, "set row 0: label '', expected one of a, b (films.yaml:5)"),
        (mapped(**{"1": "A", "2": "B"}), ["01"], None, "set row 0: label '01', expected one of 1, 2 (films.yaml:5)"),
        (mapped(**{"1": "A", "2": "B"}), [float("nan")], None, "set row 0: label nan, expected one of 1, 2"),
        (mapped(**{"1": "A", "2": "B"}), [0, 1], ["x", "y"], "set row 0: label 0, expected one of 1, 2"),
        (mapped(**{"1": "A", "2": "B"}), [float("inf")], None, "set row 0: label inf, expected one of 1, 2"),
        (listed("A", "B"), [None], None, "set row 0: label None, expected a label (films.yaml:5)"),
        (listed("A", "B"), [0, 3], None, "set row 1: label 3, expected one of 0, 1 (films.yaml:5)"),
        (listed("A", "B", first=1), [1, 0], None, "set row 1: label 0, expected one of 1, 2 (films.yaml:5)"),
        (listed("A", "B"), [0, "a"], None, "set row 1: label 'a', expected one of 0, 1 (films.yaml:5)"),
        (listed("A", "B"), [0, 1, 2], None, "set: label contains both 0 and 2, expected 2 numbers from 0 or from 1"),
        (
            listed("A", "B", "C"),
            [2, 1],
            None,
            "set: label contains 1, 2, neither 0 nor 3: it may count from 0 or from 1;",
        ),
        (listed("A", "B"), [-1, -1], ["x", "y"], "set row 0: label -1, expected one of 0, 1 (films.yaml:5)"),
        (listed("A", "B"), [0, None], ["x", "y"], "set row 1: label None, expected one of 0, 1 (films.yaml:5)"),
        (listed("A", "B", first=1), [0, 1], ["x", "y"], "the classes of the column are x, y, numbered from 0, which"),
    ],
)
def test_invalid_labels_are_refused(labels: Labels, values: list[Any], names: list[str] | None, message: str):
    with pytest.raises(InputError) as error:
        read_labels(labels, column(values, names))
    assert str(error.value).startswith(message) or message in str(error.value)
    assert str(error.value).endswith("(films.yaml:5)")


@pytest.mark.parametrize(
    ("words", "values", "names", "mapping"),
    [
        ("Positive Negative", [0, 1], "neg pos", {"neg": "Negative", "pos": "Positive"}),
        ("Positive Negative", [0, 1], "negative positive", {"negative": "Negative", "positive": "Positive"}),
        ("A B", [0, 1], "x y z", {"x": "A", "y": "B", "z": "z"}),
        ("A B C", [0, 1], "x y", {"x": "A", "y": "B", "C": "C"}),
        ("Ham Spam", ["spam", "ham"], None, {"ham": "Ham", "spam": "Spam"}),
        ("ham spam", ["ham"], None, {"ham": "ham", "spam": "spam"}),
        ("ham spam", ["ham", "spam", "eggs"], None, {"eggs": "eggs", "ham": "ham", "spam": "spam"}),
        ("No Yes", [True, False], None, {"false": "No", "true": "Yes"}),
        ("A B", ["01", "02"], None, {"01": "A", "02": "B"}),
        ("1 2", [1], None, {"1": "1", "2": "2"}),
        ("1 2", [1, 0], None, {"0": "2", "1": "1"}),
        ("A B", ["no", "off, : {"], None, {"no": "A", "off, : {": "B"}),
    ],
)
def test_an_ambiguous_list_is_refused_with_a_mapping(
    words: str, values: list[Any], names: str | None, mapping: dict[str, str]
):
    """The mapping is valid YAML, which resolves the ambiguity when pasted."""
    with pytest.raises(InputError) as error:
        read_labels(listed(*words.split()), column(values, names.split() if names else None))
    assert "\n" not in str(error.value)
    pasted = yaml.safe_load(re.search(r"label_words: (\{.*\}) \(films\.yaml:5\)$", str(error.value))[1])
    assert pasted == mapping
    assert len(read_labels(mapped(**pasted), column(values, names.split() if names else None))) == len(values)


def test_accents_and_case_do_not_matter_for_a_mapping():
    advice = to_paste(["museum", "sante", "money"], ["Fine Arts", "Santé", "Business"])
    assert "sante: Santé" in advice and "check its pairs" in advice
    assert are_alike("ÉTÉ", "ete") and not are_alike("가", "각본") and not are_alike("か", "がく")  # other syllables


def test_a_column_with_too_many_values_is_not_printed():
    assert to_paste([f"value {number}" for number in range(201)], ["A"]) == "the column has 201 different values"
