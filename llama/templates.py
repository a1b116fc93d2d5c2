"""Templates: the text of one example in a prompt, and the prompt that the model continues.

    Article: {text}               a template, its text above its label word
    Category: {label_word}

    direct   Article: <demonstration>        channel   Category: <its label word>
             Category: <its label word>                Article: <demonstration>
             Article: {text}                           Category: {label_word}
             Category:                                 Article:
             -> {label_word}                           -> {text}

The channel method reverses the template: it swaps the lines down to the text with the following lines down to the label
word. The scored completion is the field and the rest of its line; the white space before it is the separator.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

TEXT, LABEL_WORD = "{text}", "{label_word}"  # the fields of a prompt
LABEL_WORDS = "{label_words}"
BRACKETS = ("()", "[]", "{}", "（）", "【】", "《》")
NAMED = re.compile(r"\{[^\W\d][\w.-]*\}")  # looks like a field; other braces are text


def fill(template: str, field: str, value: str) -> str:
    """`template` with the last occurrence of `field` replaced by `value`; unchanged if there is none."""
    head, found, tail = template.rpartition(field)
    return head + value + tail if found else template


class Form(NamedTuple):
    """A template in the order of one method: `before`, the given field, `between`, the scored field, `after`."""

    before: str
    between: str
    after: str

    def show(self, given: str, scored: str) -> str:
        """An example with both fields filled, as a demonstration."""
        return self.before + given + self.between + scored + self.after


class Opened(NamedTuple):
    """The prompt and the completion of a method, with unfilled fields, and the separator between them."""

    prompt: str
    completion: str
    separator: str


@dataclass(frozen=True)
class Template:
    """The template of a data set's prompts, from `read_template`.

    Args:
        direct, channel: An example in the order of each method; None if the template cannot be reversed.
        text: How the text of an example is composed of its columns: their names in braces, and the text between them.
        instruction: The text before the demonstrations.
    """

    direct: Form | None
    channel: Form | None
    text: str = TEXT
    instruction: str = ""

    def form(self, method: str) -> Form:
        """An example in the order of `method`.

        Raises:
            ValueError: The template cannot be reversed.
        """
        form = self.direct if method == "direct" else self.channel
        if form is None:
            raise ValueError(
                f"the {method} method needs the text and the label word on separate lines, or a {method} template"
            )
        return form

    def show(self, method: str, text: str, label_word: str) -> str:
        """A text with its label word, in the order of `method`."""
        given, scored = (text, label_word) if method == "direct" else (label_word, text)
        return self.form(method).show(given, scored)

    def open(self, method: str, demonstrations: Iterable[tuple[str, str]]) -> Opened:
        """The prompt with the demonstrations, and the completion.

        Args:
            demonstrations: Pairs of a text and its label word.

        Raises:
            ValueError: The template cannot be reversed.
        """
        form = self.form(method)
        given, scored = (TEXT, LABEL_WORD) if method == "direct" else (LABEL_WORD, TEXT)
        shown = "".join(self.show(method, text, word) for text, word in demonstrations)
        whole = self.instruction + shown + form.before + given + form.between
        prompt = whole.rstrip()
        return Opened(prompt, scored + form.after.split("\n")[0].rstrip(), whole[len(prompt) :])

    def text_of(self, columns: Mapping[str, str]) -> str:
        """The text of an example.

        Args:
            columns: Column values by name; they may be empty.
        """
        return fields(columns).sub(lambda field: columns[field[0][1:-1]], self.text)


def read_template(source: str, columns: Sequence[str], label_words: Sequence[str]) -> Template:
    """The template that `source` describes.

    Args:
        source: One example with {text}, or the names of its columns in braces, and {label_word}.
        columns: The columns of the text; {text} stands for all of them.
        label_words: The words that replace {label_words}, separated by commas.

    Raises:
        ValueError: A field is missing, unknown or repeated.
    """
    return Template(*split(prepare(source, label_words), columns))


def with_channel(template: Template, source: str, columns: Sequence[str], label_words: Sequence[str]) -> Template:
    """The template with its own form for the channel method; arguments as for `read_template`.

    Raises:
        ValueError: As there; or the text comes before the label word, or differs from that of the template.
    """
    other = Template(*split(prepare(source, label_words), columns))
    if source.index(LABEL_WORD) > fields(columns).search(source).start():
        raise ValueError("its text is before its label word, expected it after")
    if other.text != template.text:
        raise ValueError(f"its text is {other.text!r}, that of the template {template.text!r}")
    return replace(template, channel=other.channel)


def with_instruction(template: Template, source: str, label_words: Sequence[str]) -> Template:
    """The template with an instruction before the demonstrations.

    Raises:
        ValueError: It contains a field other than {label_words}.
    """
    check_fields(source, [LABEL_WORDS])
    return replace(template, instruction=prepare(source, label_words))


def prepare(source: str, label_words: Sequence[str]) -> str:
    """`source` without trailing spaces in lines, with a line break at its end, and with the label words filled in."""
    listed = ", ".join(label_words)
    if any(field in listed for field in (TEXT, LABEL_WORD)) and LABEL_WORDS in source:
        raise ValueError(f"{LABEL_WORDS}: a label word contains {TEXT} or {LABEL_WORD}")
    lines = "\n".join(line.rstrip() for line in source.strip("\n").split("\n"))
    return lines.replace(LABEL_WORDS, listed) + "\n" * max(1, ends(source))


def fields(columns: Iterable[str]) -> re.Pattern[str]:
    """A pattern that matches the fields of a text."""
    return re.compile("|".join(re.escape(f"{{{column}}}") for column in ("text", *columns)))


def check_fields(source: str, known: Sequence[str]) -> None:
    """Raises ValueError if `source` contains a field that is not in `known`."""
    unknown = next((field for field in NAMED.findall(source) if field not in known), None)
    if unknown is not None:
        raise ValueError(f"unknown field {unknown}, expected {', '.join(known)}; braces around other text are text")


def ends(source: str) -> int:
    """Number of line breaks at the end of a text."""
    return len(source) - len(source.rstrip("\n"))


def split(source: str, columns: Sequence[str]) -> tuple[Form | None, Form | None, str]:
    """The forms of the direct and the channel method, and the text in terms of its columns.

    The text extends from the first to the last of its fields.
    """
    texts, labels = list(fields(columns).finditer(source)), list(re.finditer(re.escape(LABEL_WORD), source))
    known = dict.fromkeys([TEXT, *(f"{{{column}}}" for column in columns), LABEL_WORD, LABEL_WORDS])
    check_fields(source, list(known))
    if len(labels) != 1:
        raise ValueError(f"found {LABEL_WORD} {len(labels)} times, expected once")
    check_columns([match[0][1:-1] for match in texts], columns)
    (label,), begin, end = labels, texts[0].start(), texts[-1].end()
    if begin < label.start() < end:
        raise ValueError(f"{LABEL_WORD} is between fields of the text, expected it before or after them")
    text = TEXT if len(texts) == 1 and texts[0][0] == TEXT else source[begin:end]
    written, turned = cut(source, (begin, end), label.span()), turn(source, (begin, end), label.span())
    return (written, turned, text) if end <= label.start() else (turned, written, text)


def check_columns(named: Sequence[str], columns: Sequence[str]) -> None:
    """Check that the text is {text} alone, which stands for all columns, or each column once by its name.

    Raises:
        ValueError: A column is missing or repeated; the message names it.
    """
    if not named:
        raise ValueError(f"no field for the text, expected {TEXT} or the names of its columns in braces")
    repeated = next((name for number, name in enumerate(named) if name in named[:number]), None)
    if repeated is not None:
        raise ValueError(f"found {{{repeated}}} twice, expected once")
    if list(named) == ["text"]:
        return
    if "text" in named and "text" not in columns:
        raise ValueError(f"{TEXT} stands for all columns: expected it alone, or each column by its name")
    unused = next((column for column in columns if column not in named), None)
    if unused is not None:
        raise ValueError(f"the text column {unused!r} is missing, expected {TEXT} or each column by its name")


def cut(source: str, *fields: tuple[int, int]) -> Form:
    """A template cut at its two fields, given as (begin, end) in any order."""
    first, second = sorted(fields)
    return Form(source[: first[0]], source[first[1] : second[0]], source[second[1] :])


def turn(source: str, *fields: tuple[int, int]) -> Form | None:
    """The reversed template, with empty lines kept in its middle; None if a line contains both fields, or a bracket
    opens in one half and closes in the other."""
    first, second = sorted(fields)
    middle = source.find("\n", first[1]) + 1  # the line after the first field
    if middle > second[0]:
        return None
    last = source.find("\n", second[1]) + 1
    upper, lower, rest = source[:middle], source[middle:last], source[last:]
    if any(part.count(left) != part.count(right) for part in (upper, lower) for left, right in BRACKETS):
        return None
    empty = len(lower) - len(lower.lstrip("\n"))
    moved = lower[empty:] + lower[:empty] + upper + rest
    return cut(
        moved,
        (second[0] - middle - empty, second[1] - middle - empty),
        (first[0] + len(lower), first[1] + len(lower)),
    )
