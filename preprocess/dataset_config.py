r"""A data set without code: a small YAML file that says where its rows lie, how to read them and how to ask.

    dataset: sst2                       its name in files, meta files and tables
    path: stanfordnlp/sst2              a hub id, or a folder or file, seen from where the command runs
    text: sentence                      the column of the text, or a list of columns, joined by a space
    label: label                        the column of the label
    label_words: [Negative, Positive]   in the order of the labels; or a mapping: value in the column -> label word
    template: |                         one example, as the direct method shows it
      Review: {text}
      Sentiment: {label_word}

These are needed. The others, with their defaults:

    instruction: |           what stands before the demonstrations; {label_words} in it, and in the template, is the
      Choose: {label_words}  list of the label words
    channel_template         the example as the channel method shows it; without it, the template is turned round: the
                             line with the label word comes before those with the text
    split: test              the split to classify
    train_split: train       the split to draw demonstrations from
    k: 1                     demonstrations of each class, where --k is not given
    draw: per_class          k of each class; stratified: by the stratified split of `datasets`, for balanced classes
    config, revision         which of several the hub is asked for
    sample                   folder of a sample set, read where neither --dataset_path nor --sample=False is given
    id, group                columns: what an example is called; which examples belong together (the intervals know)
    first_label              0 or 1: the number of the first label word of a list, where the numbers do not prove it
    headerless               text fields of a csv in the form of Zhang et al. (2015): no header, first the class from 1
    encoding: utf-8          of csv, tsv, json and jsonl files, as Python names it
    delimiter                of csv files, one character or tab, where the header leaves it open
    quote: double            of csv files; none: a double quote is a character like any other
    test_size                rows, or a share, to classify of a file that has no splits; the rest is to draw from
    split_seed: 42           of that division; --seed is that of the draw alone

A column inside a column is written with a dot: `label.name`. docs/datasets.md explains all of this with examples.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from llama.templates import Template, read_template, with_channel, with_instruction
from preprocess.build import DataSet
from preprocess.delimited import Format
from preprocess.demonstrations import draw_per_class, draw_stratified
from preprocess.errors import InputError
from preprocess.files import expand_path
from preprocess.labels import Labels, normal
from preprocess.nodes import UNUSABLE, WRITTEN, kind, mistake, place, read_count, read_node, read_word, read_words

REQUIRED = ("dataset", "path", "text", "label", "label_words", "template")
TEMPLATES = ("template", "channel_template", "instruction")
SPLITS = ("split", "train_split", "test_size", "split_seed")
FILES = ("config", "revision", "sample", "headerless", "encoding", "delimiter", "quote")
OPTIONAL = (*TEMPLATES[1:], *SPLITS, "k", "draw", "id", "group", "first_label", *FILES)
LONGER = ("text", "label_words", "headerless", "delimiter", *TEMPLATES)  # values that are no single word
QUOTES = {"double": True, "none": False}
DRAWS = {"per_class": draw_per_class, "stratified": draw_stratified}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # such names become part of file names


@dataclass(frozen=True)
class DatasetConfig:
    """How to read a data set whose rows have a text and a label.

    Args:
        text: The columns whose values are the text.
        label: The column of the label.
        labels: What its values stand for.
        id, group: Columns of names; empty: the number of the row, and no groups.
        hub: `name` and `revision` on the hub, where they are given.
        form: Of its text files.
        test_size: Rows or share that are classified of a file without splits; None: it is classified as a whole.
        split_seed: Of that division.
        spaced: Whether the values of several text columns are stripped and joined by a space where they are not empty;
            else they are joined as they stand.
    """

    dataset: DataSet
    text: tuple[str, ...]
    label: str
    labels: Labels
    hub: dict[str, str] = field(default_factory=dict)
    form: Format = field(default_factory=Format)
    id: str = ""
    group: str = ""
    test_size: int | float | None = None
    split_seed: int = 42
    spaced: bool = True


def read_path(node: yaml.Node | None, text: str) -> str:
    """`text`, the word of `node`, as a path."""
    try:
        return expand_path(text)
    except InputError as error:
        raise mistake(node, str(error)) from None


def read_dataset_config(path: str | Path, flag: str = "--config") -> DatasetConfig:
    """Read and check a YAML file.

    Raises:
        InputError: Names file and line, what was found and what was expected.
    """
    entries = read_entries(path, flag)
    found = {key: node for key, (_, node) in entries.items()}
    labels = read_label_words(found["label_words"], found.get("first_label"))
    one = {key: read_word(node, key) for key, node in found.items() if key not in LONGER}
    for key in ("dataset", "split", "train_split"):
        if key in one and not NAME.fullmatch(one[key]):
            raise mistake(found[key], f"{key} is {one[key]!r}, expected letters, digits, '_', '-' and '.'")
    text = read_words(found["text"], "text")
    for key in ("label", "group"):
        if one.get(key) in text:
            raise mistake(found[key], f"{key} is {one[key]!r}, which is a column of the text")
    if one.get("draw", "per_class") not in DRAWS:
        raise mistake(found["draw"], f"draw is {one['draw']!r}, expected {' or '.join(DRAWS)}")
    dataset = DataSet(
        name=one["dataset"],
        path=read_path(found["path"], one["path"]),
        template=read_templates(found, text, labels.words),
        label_words=labels.words,
        draw=DRAWS[one.get("draw", "per_class")],
        sample=read_path(found.get("sample"), one.get("sample", "")),
        split=one.get("split", "test"),
        train_split=one.get("train_split", "train"),
        k=read_count(found["k"], "k") if "k" in found else 1,
        places={key: place(node) for key, (node, _) in entries.items()},
    )
    hub = {name: one[key] for name, key in (("name", "config"), ("revision", "revision")) if key in one}
    return DatasetConfig(
        dataset,
        text,
        one["label"],
        labels,
        hub,
        read_format(found, needed=(*text, one["label"])),
        one.get("id", ""),
        one.get("group", ""),
        read_size(found["test_size"]) if "test_size" in found else None,
        read_count(found["split_seed"], "split_seed") if "split_seed" in found else 42,
    )


def read_entries(path: str | Path, flag: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """Key -> the nodes of key and value, of a file with all keys that are needed and no other."""
    root = read_node(path, flag)
    expected = f"expected a mapping with the keys {', '.join(REQUIRED)}"
    if root is None:
        raise InputError(f"{path}:1: found nothing, {expected}")
    if not isinstance(root, yaml.MappingNode):
        raise mistake(root, f"found {kind(root)}, {expected}")
    entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for node, value in root.value:
        key = read_word(node, "a key")
        if key not in REQUIRED + OPTIONAL:
            raise mistake(node, f"unknown key {key!r}, expected one of {', '.join(REQUIRED + OPTIONAL)}")
        if key in entries:
            raise mistake(node, f"key {key!r} stands at {place(entries[key][0])} already")
        entries[key] = (node, value)
    for key in REQUIRED:
        if key not in entries:
            raise mistake(root, f"key {key!r} is missing")
    return entries


def read_templates(found: Mapping[str, yaml.Node], columns: Sequence[str], label_words: Sequence[str]) -> Template:
    """The template, with the instruction and the order of the channel method where the file has them."""
    template = of_lines(found, "template", lambda source: read_template(source, columns, label_words))
    if "channel_template" in found:
        template = of_lines(
            found, "channel_template", lambda source: with_channel(template, source, columns, label_words)
        )
    if "instruction" in found:
        template = of_lines(found, "instruction", lambda source: with_instruction(template, source, label_words))
    return template


def of_lines(found: Mapping[str, yaml.Node], key: str, read: Callable[[str], Template]) -> Template:
    """What `read` makes of the lines of a key; what it finds wrong names the line of the file."""
    node = found[key]
    if not isinstance(node, yaml.ScalarNode) or node.tag not in WRITTEN:
        raise mistake(node, f"{key} is {kind(node)}, expected lines of text")
    unusable = UNUSABLE.search(node.value.replace("\n", "").replace("\t", ""))
    if unusable or not node.value.strip():
        raise mistake(node, f"{key} holds {unusable[0]!r}" if unusable else f"{key} is empty, expected lines of text")
    try:
        return read(node.value)
    except ValueError as error:
        raise mistake(node, f"{key}: {error}") from None


def read_label_words(node: yaml.Node, first: yaml.Node | None) -> Labels:
    """What the values of the label column stand for. Words and values are compared in Unicode's form NFC."""
    if isinstance(node, yaml.SequenceNode):
        pairs = [("", item, item) for item in node.value]
    elif isinstance(node, yaml.MappingNode):
        pairs = [(normal(read_word(key, "a value of label_words")), key, item) for key, item in node.value]
    else:
        raise mistake(node, f"label_words is {kind(node)}, expected a list, or a mapping: value -> label word")
    values: dict[str, str] = {}
    words: dict[str, str] = {}
    for value, key, item in pairs:
        word = read_word(item, "a label word")
        if value and value in values:
            raise mistake(key, f"label_words: the value {value!r} stands there twice")
        if normal(word) in words:
            raise mistake(item, f"label_words: the label word {word!r} stands there twice")
        values[value] = words[normal(word)] = word
    if len(words) < 2:
        raise mistake(node, f"label_words: found {len(words)}, expected at least two")
    if isinstance(node, yaml.MappingNode):
        if first is not None:
            raise mistake(first, "first_label is for a list of label words, here they are a mapping")
        return Labels(tuple(words.values()), values)
    if first is not None and read_word(first, "first_label") not in ("0", "1"):
        raise mistake(first, f"first_label is {kind(first)}, expected 0 or 1")
    return Labels(tuple(words.values()), {}, numbered=True, first=None if first is None else int(first.value))


def read_format(found: dict[str, yaml.Node], needed: tuple[str, ...]) -> Format:
    """How its text files are written."""
    encoding = read_word(found["encoding"], "encoding") if "encoding" in found else "utf-8"
    try:
        "a".encode(encoding)
    except (LookupError, ValueError):
        raise mistake(found["encoding"], f"encoding is {encoding!r}, which is none of text that Python knows") from None
    quote = read_word(found["quote"], "quote") if "quote" in found else "double"
    if quote not in QUOTES:
        raise mistake(found["quote"], f"quote is {quote!r}, expected {' or '.join(QUOTES)}")
    return Format(
        encoding,
        read_delimiter(found["delimiter"]) if "delimiter" in found else "",
        QUOTES[quote],
        read_words(found["headerless"], "headerless") if "headerless" in found else (),
        needed,
    )


def read_delimiter(node: yaml.Node) -> str:
    value = node.value if isinstance(node, yaml.ScalarNode) else ""
    value = "\t" if value.strip() in ("tab", r"\t") else value
    if len(value) != 1 or value.isalnum() or value in '" \r\n':
        raise mistake(node, f"delimiter is {kind(node)}, expected one character, such as ';', in quotes, or tab")
    return value


def read_size(node: yaml.Node) -> int | float:
    """A number of rows, or a share between 0 and 1."""
    word = read_word(node, "test_size")
    if re.fullmatch(r"[1-9][0-9]{0,8}", word):
        return int(word)
    if re.fullmatch(r"0?\.[0-9]*[1-9][0-9]*", word):
        return float(word)
    raise mistake(node, f"test_size is {word!r}, expected a number of rows, or a share between 0 and 1")
