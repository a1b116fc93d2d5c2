r"""A data set without code: a small YAML file that says where its rows lie, how to read them and how to ask.

    dataset: sst2                       its name in files, meta files and tables
    path: stanfordnlp/sst2              a hub id, or a folder or file, seen from where the command runs
    text: sentence                      the column of the text, or a list of columns, joined by a space
    label: label                        the column of the label
    label_words: [Negative, Positive]   of the labels 0, 1, ...; or a mapping: value in the column -> label word
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
    headerless               text fields of a csv in the form of Zhang et al. (2015): no header, first the class from 1

Nodes are read, never constructed: so each mistake names its line, and a word stays as it is written (to YAML, `no` is
false).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from preprocess.build import DataSet
from preprocess.demonstrations import draw_per_class, draw_stratified
from preprocess.errors import InputError
from preprocess.files import read_text
from preprocess.templates import Template, read_template, with_channel, with_instruction

REQUIRED = ("dataset", "path", "text", "label", "label_words", "template")
OPTIONAL = (
    "instruction",
    "channel_template",
    "split",
    "train_split",
    "k",
    "draw",
    "config",
    "revision",
    "sample",
    "headerless",
)
TEMPLATES = ("template", "channel_template", "instruction")
LONGER = ("text", "label_words", "headerless", *TEMPLATES)  # values that may be more than one word
DRAWS = {"per_class": draw_per_class, "stratified": draw_stratified}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # such names become part of file names
UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # line breaks; what no tokenizer reads
WRITTEN = {f"tag:yaml.org,2002:{tag}" for tag in ("str", "int", "float", "bool", "timestamp", "value", "merge")}


@dataclass(frozen=True)
class Table:
    """A data set whose rows have a text and a label.

    Args:
        text: The columns whose values, joined by a space, are the text.
        label: The column of the label.
        words: Value of a label as it is written -> label word.
        hub: `name` and `revision` on the hub, where they are given.
        headerless: Text fields of its csv without a header; empty where it has no such form.
    """

    dataset: DataSet
    text: tuple[str, ...]
    label: str
    words: dict[str, str]
    hub: dict[str, str]
    headerless: tuple[str, ...]


def read_table(path: str | Path, flag: str = "--config") -> Table:
    """Read and check a YAML file.

    Raises:
        InputError: Names file and line, what was found and what was expected.
    """
    entries = read_entries(path, flag)
    found = {key: node for key, (_, node) in entries.items()}
    words = read_label_words(found["label_words"])
    one = {key: read_word(node, key) for key, node in found.items() if key not in LONGER}
    for key in ("dataset", "split", "train_split"):
        if key in one and not NAME.fullmatch(one[key]):
            raise mistake(found[key], f"{key} is {one[key]!r}, expected letters, digits, '_', '-' and '.'")
    text = read_words(found["text"], "text")
    if one["label"] in text:
        raise mistake(found["label"], f"label is {one['label']!r}, which is a column of the text")
    if one.get("draw", "per_class") not in DRAWS:
        raise mistake(found["draw"], f"draw is {one['draw']!r}, expected {' or '.join(DRAWS)}")
    dataset = DataSet(
        name=one["dataset"],
        path=one["path"],
        template=read_templates(found, text, tuple(words.values())),
        label_words=tuple(words.values()),
        draw=DRAWS[one.get("draw", "per_class")],
        sample=one.get("sample", ""),
        split=one.get("split", "test"),
        train_split=one.get("train_split", "train"),
        k=read_count(found["k"], "k") if "k" in found else 1,
        places={key: place(node) for key, (node, _) in entries.items()},
    )
    hub = {name: one[key] for name, key in (("name", "config"), ("revision", "revision")) if key in one}
    headerless = read_words(found["headerless"], "headerless") if "headerless" in found else ()
    return Table(dataset, text, one["label"], words, hub, headerless)


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


def read_node(path: str | Path, flag: str) -> yaml.Node | None:
    """The one document of a YAML file, with the marks of its nodes; None where it is empty."""
    raw = read_text(path, flag)
    try:
        loader = yaml.SafeLoader(raw)
        loader.name = str(path)  # marks name it
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"{path}:{mark.line + 1}: not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = raw.count("\n", 0, error.position) + 1
        raise InputError(f"{path}:{line}: not YAML: character {error.character:#x}: {error.reason}") from None
    except RecursionError:
        raise InputError(f"{path}:1: not usable: nested too deep") from None


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


def read_label_words(node: yaml.Node) -> dict[str, str]:
    """Value of a label as it is written -> label word; from a list, the values are 0, 1, and so on."""
    if isinstance(node, yaml.SequenceNode):
        pairs = [(str(number), item, item) for number, item in enumerate(node.value)]
    elif isinstance(node, yaml.MappingNode):
        pairs = [(read_word(key, "a value of label_words"), key, item) for key, item in node.value]
    else:
        raise mistake(node, f"label_words is {kind(node)}, expected a list, or a mapping: value -> label word")
    words: dict[str, str] = {}
    for value, key, item in pairs:
        word = read_word(item, "a label word")
        if value in words:
            raise mistake(key, f"label_words: the value {value!r} stands there twice")
        if word in words.values():
            raise mistake(item, f"label_words: the label word {word!r} stands there twice")
        words[value] = word
    if len(words) < 2:
        raise mistake(node, f"label_words: found {len(words)}, expected at least two")
    return words


def read_words(node: yaml.Node, what: str) -> tuple[str, ...]:
    """A list of different words, or one word."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    words = tuple(read_word(item, what) for item in nodes)
    if not words:
        raise mistake(node, f"{what}: the list is empty")
    for number, word in enumerate(words):
        if word in words[:number]:
            raise mistake(nodes[number], f"{what}: {word!r} stands there twice")
    return words


def read_count(node: yaml.Node, what: str) -> int:
    word = read_word(node, what)
    if not re.fullmatch(r"[0-9]{1,9}", word):
        raise mistake(node, f"{what} is {word!r}, expected a whole number, 0 or more")
    return int(word)


def read_word(node: yaml.Node, what: str) -> str:
    """A text of one line, as it is written, stripped."""
    if not isinstance(node, yaml.ScalarNode) or node.tag not in WRITTEN:
        raise mistake(node, f"{what} is {kind(node)}, expected a text")
    word = node.value.strip()
    if not word:
        raise mistake(node, f"{what} is empty, expected a text")
    if UNUSABLE.search(word):
        raise mistake(node, f"{what} is {word!r}, expected one line of text")
    return word


def kind(node: yaml.Node) -> str:
    """What stands there, for messages."""
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if node.tag in WRITTEN:
        return repr(node.value)
    return "empty" if node.tag == "tag:yaml.org,2002:null" else f"a value with the tag {node.tag}"


def place(node: yaml.Node) -> str:
    return f"{node.start_mark.name}:{node.start_mark.line + 1}"


def mistake(node: yaml.Node, message: str) -> InputError:
    return InputError(f"{place(node)}: {message}")
