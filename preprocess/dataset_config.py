r"""The YAML file of a data set: where its rows are, how they are read, and the template of its prompts.

    dataset: sst2                       its name in files, meta files and tables
    path: stanfordnlp/sst2              a hub id, or a folder or file relative to the working directory
    text: sentence                      the column of the text, or a list of columns, joined by a space
    label: label                        the column of the label
    label_words: [Negative, Positive]   in the order of the labels; or a mapping: value in the column -> label word
    template: |                         one example, in the form of the direct method
      Review: {text}
      Sentiment: {label_word}

These keys are required. The optional ones, with their defaults:

    instruction: |           the text before the demonstrations; {label_words} in it, and in the template, is replaced
      Choose: {label_words}  by the list of label words
    channel_template         one example in the form of the channel method; default the reversed template: the line
                             with the label word comes before those with the text
    split: test              the split to classify
    train_split: train       the split to draw demonstrations from
    k: 1                     demonstrations of each class if --k is not given
    draw: per_class          k of each class; stratified: by the stratified split of `datasets`, for balanced classes
    config, revision         the configuration and revision on the hub
    sample                   folder of a sample set, read unless --dataset_path or --sample=False is given
    id, group                columns: the id of an example; the group of examples that are not independent
    first_label              0 or 1: the number of the first label word in a list, if the numbers leave it open
    headerless               text fields of a csv in the format of Zhang et al. (2015): no header, the class first,
                             from 1
    encoding: utf-8          of csv, tsv, json and jsonl files, as named in Python
    delimiter                of csv files, one character or tab, if the header leaves it open
    quote: double            of csv files; none: a double quote is an ordinary character
    test_size                number or fraction of rows to classify in a file without splits; the demonstrations come
                             from the rest
    split_seed: 42           random seed of that division; --seed is that of the demonstrations

A nested column is written with a dot: `label.name`. docs/datasets.md explains the keys with examples.
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
LONGER = ("text", "label_words", "headerless", "delimiter", *TEMPLATES)  # values that are not a single word
QUOTES = {"double": True, "none": False}
DRAWS = {"per_class": draw_per_class, "stratified": draw_stratified}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # valid in file names


@dataclass(frozen=True)
class DatasetConfig:
    """How to read a data set whose rows have a text and a label.

    Args:
        text: The columns of the text.
        label: The column of the label.
        labels: The label words of its values.
        id, group: Columns of ids and groups; empty: the row number, and no groups.
        hub: `name` and `revision` on the hub, if given.
        form: Format of its text files.
        test_size: Number or fraction of rows to classify in a file without splits; None: all.
        split_seed: Random seed of that division.
        spaced: Whether several text columns are stripped and joined by a space, without empty ones; otherwise they are
            joined unchanged.
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
    """`text`, the value of `node`, as a path."""
    try:
        return expand_path(text)
    except InputError as error:
        raise mistake(node, str(error)) from None


def read_dataset_config(path: str | Path, flag: str = "--config") -> DatasetConfig:
    """Read and check a YAML file.

    Raises:
        InputError: The file is invalid; the message names file and line, what was found and what was expected.
    """
    entries = read_entries(path, flag)
    nodes = {key: node for key, (_, node) in entries.items()}
    labels = read_label_words(nodes["label_words"], nodes.get("first_label"))
    values = {key: read_word(node, key) for key, node in nodes.items() if key not in LONGER}
    for key in ("dataset", "split", "train_split"):
        if key in values and not NAME.fullmatch(values[key]):
            raise mistake(nodes[key], f"{key} is {values[key]!r}, expected letters, digits, '_', '-' and '.'")
    text = read_words(nodes["text"], "text")
    for key in ("label", "group"):
        if values.get(key) in text:
            raise mistake(nodes[key], f"{key} is {values[key]!r}, which is a column of the text")
    if values.get("draw", "per_class") not in DRAWS:
        raise mistake(nodes["draw"], f"draw is {values['draw']!r}, expected {' or '.join(DRAWS)}")
    dataset = DataSet(
        name=values["dataset"],
        path=read_path(nodes["path"], values["path"]),
        template=read_templates(nodes, text, labels.words),
        label_words=labels.words,
        draw=DRAWS[values.get("draw", "per_class")],
        sample=read_path(nodes.get("sample"), values.get("sample", "")),
        split=values.get("split", "test"),
        train_split=values.get("train_split", "train"),
        k=read_count(nodes["k"], "k") if "k" in nodes else 1,
        places={key: place(node) for key, (node, _) in entries.items()},
    )
    hub = {name: values[key] for name, key in (("name", "config"), ("revision", "revision")) if key in values}
    return DatasetConfig(
        dataset,
        text,
        values["label"],
        labels,
        hub,
        read_format(nodes, needed=(*text, values["label"])),
        values.get("id", ""),
        values.get("group", ""),
        read_size(nodes["test_size"]) if "test_size" in nodes else None,
        read_count(nodes["split_seed"], "split_seed") if "split_seed" in nodes else 42,
    )


def read_entries(path: str | Path, flag: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """Key -> the nodes of key and value, of a file with all required keys and no unknown ones."""
    root = read_node(path, flag)
    expected = f"expected a mapping with the keys {', '.join(REQUIRED)}"
    if root is None:
        raise InputError(f"{path}:1: the file is empty, {expected}")
    if not isinstance(root, yaml.MappingNode):
        raise mistake(root, f"found {kind(root)}, {expected}")
    entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for node, value in root.value:
        key = read_word(node, "a key")
        if key not in REQUIRED + OPTIONAL:
            raise mistake(node, f"unknown key {key!r}, expected one of {', '.join(REQUIRED + OPTIONAL)}")
        if key in entries:
            raise mistake(node, f"duplicate key {key!r}, first at {place(entries[key][0])}")
        entries[key] = (node, value)
    for key in REQUIRED:
        if key not in entries:
            raise mistake(root, f"key {key!r} is missing")
    return entries


def read_templates(nodes: Mapping[str, yaml.Node], columns: Sequence[str], label_words: Sequence[str]) -> Template:
    """The template, with the instruction and the channel template if the file has them."""
    template = read_lines_of(nodes, "template", lambda source: read_template(source, columns, label_words))
    if "channel_template" in nodes:
        template = read_lines_of(
            nodes, "channel_template", lambda source: with_channel(template, source, columns, label_words)
        )
    if "instruction" in nodes:
        template = read_lines_of(nodes, "instruction", lambda source: with_instruction(template, source, label_words))
    return template


def read_lines_of(nodes: Mapping[str, yaml.Node], key: str, read: Callable[[str], Template]) -> Template:
    """The result of `read` for the lines of a key; a ValueError becomes an InputError with the line of the file."""
    node = nodes[key]
    if not isinstance(node, yaml.ScalarNode) or node.tag not in WRITTEN:
        raise mistake(node, f"{key} is {kind(node)}, expected lines of text")
    unusable = UNUSABLE.search(node.value.replace("\n", "").replace("\t", ""))
    if unusable or not node.value.strip():
        problem = f"contains {unusable[0]!r}" if unusable else "is empty"
        raise mistake(node, f"{key} {problem}, expected lines of text")
    try:
        return read(node.value)
    except ValueError as error:
        raise mistake(node, f"{key}: {error}") from None


def read_label_words(node: yaml.Node, first: yaml.Node | None) -> Labels:
    """The label words and their values in the label column, compared in Unicode's normal form NFC."""
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
            raise mistake(key, f"label_words: duplicate value {value!r}")
        if normal(word) in words:
            raise mistake(item, f"label_words: duplicate label word {word!r}")
        values[value] = words[normal(word)] = word
    if len(words) < 2:
        raise mistake(node, f"label_words: found {len(words)}, expected at least two")
    if isinstance(node, yaml.MappingNode):
        if first is not None:
            raise mistake(first, "first_label is only for a list of label words, but label_words is a mapping")
        return Labels(tuple(words.values()), values)
    if first is not None and read_word(first, "first_label") not in ("0", "1"):
        raise mistake(first, f"first_label is {kind(first)}, expected 0 or 1")
    return Labels(tuple(words.values()), {}, numbered=True, first=None if first is None else int(first.value))


def read_format(nodes: dict[str, yaml.Node], needed: tuple[str, ...]) -> Format:
    """The format of the data set's text files."""
    encoding = read_word(nodes["encoding"], "encoding") if "encoding" in nodes else "utf-8"
    try:
        "a".encode(encoding)
    except (LookupError, ValueError):
        raise mistake(nodes["encoding"], f"encoding is {encoding!r}, expected a text encoding of Python") from None
    quote = read_word(nodes["quote"], "quote") if "quote" in nodes else "double"
    if quote not in QUOTES:
        raise mistake(nodes["quote"], f"quote is {quote!r}, expected {' or '.join(QUOTES)}")
    return Format(
        encoding,
        read_delimiter(nodes["delimiter"]) if "delimiter" in nodes else "",
        QUOTES[quote],
        read_words(nodes["headerless"], "headerless") if "headerless" in nodes else (),
        needed,
    )


def read_delimiter(node: yaml.Node) -> str:
    """The delimiter of csv files: one character."""
    value = node.value if isinstance(node, yaml.ScalarNode) else ""
    value = "\t" if value.strip() in ("tab", r"\t") else value
    if len(value) != 1 or value.isalnum() or value in '" \r\n':
        raise mistake(node, f"delimiter is {kind(node)}, expected one character, such as ';', in quotes, or tab")
    return value


def read_size(node: yaml.Node) -> int | float:
    """A number of rows, or a fraction between 0 and 1."""
    word = read_word(node, "test_size")
    if re.fullmatch(r"[1-9][0-9]{0,8}", word):
        return int(word)
    if re.fullmatch(r"0?\.[0-9]*[1-9][0-9]*", word):
        return float(word)
    raise mistake(node, f"test_size is {word!r}, expected a number of rows, or a fraction between 0 and 1")
