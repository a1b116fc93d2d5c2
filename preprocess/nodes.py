"""Values of a YAML file, read from its nodes.

Nodes keep their line, for messages, and their spelling: constructed values do not (`no` would be false).
"""

import re
from pathlib import Path

import yaml

from preprocess.errors import InputError
from preprocess.files import read_text

UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # control characters and lone surrogates
WRITTEN = {f"tag:yaml.org,2002:{tag}" for tag in ("str", "int", "float", "bool", "timestamp", "value", "merge")}


def read_node(path: str | Path, flag: str) -> yaml.Node | None:
    """The root node of a YAML file with one document; None if it is empty."""
    raw = read_text(path, flag)
    try:
        loader = yaml.SafeLoader(raw)
        loader.name = str(path)  # the name in the nodes' marks
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"{path}:{mark.line + 1}: not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = raw.count("\n", 0, error.position) + 1
        raise InputError(f"{path}:{line}: not YAML: character {error.character:#x}: {error.reason}") from None
    except RecursionError:
        raise InputError(f"{path}:1: invalid: nested too deep") from None


def read_words(node: yaml.Node, what: str) -> tuple[str, ...]:
    """A list of distinct words, or one word."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    words = tuple(read_word(item, what) for item in nodes)
    if not words:
        raise mistake(node, f"{what}: the list is empty")
    for number, word in enumerate(words):
        if word in words[:number]:
            raise mistake(nodes[number], f"{what}: duplicate {word!r}")
    return words


def read_count(node: yaml.Node, what: str) -> int:
    """A whole number, 0 or more."""
    word = read_word(node, what)
    if not re.fullmatch(r"[0-9]{1,9}", word):
        raise mistake(node, f"{what} is {word!r}, expected a whole number, 0 or more")
    return int(word)


def read_word(node: yaml.Node, what: str) -> str:
    """A text of one line, as written, stripped."""
    if not isinstance(node, yaml.ScalarNode) or node.tag not in WRITTEN:
        raise mistake(node, f"{what} is {kind(node)}, expected a text")
    word = node.value.strip()
    if not word:
        raise mistake(node, f"{what} is empty, expected a text")
    if UNUSABLE.search(word):
        raise mistake(node, f"{what} is {word!r}, expected one line of text")
    return word


def kind(node: yaml.Node) -> str:
    """The kind or the value of a node, for messages."""
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if node.tag in WRITTEN:
        return repr(node.value)
    return "empty" if node.tag == "tag:yaml.org,2002:null" else f"a value with the tag {node.tag}"


def place(node: yaml.Node) -> str:
    """FILE:LINE of a node."""
    return f"{node.start_mark.name}:{node.start_mark.line + 1}"


def mistake(node: yaml.Node, message: str) -> InputError:
    """The error for a node, with its file and line."""
    return InputError(f"{place(node)}: {message}")
