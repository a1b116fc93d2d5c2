"""Templates of all formats, as prompts of both methods."""

import pytest

from llama.templates import read_template, with_channel, with_instruction

WORDS = ("World", "Sports")
DEMONSTRATIONS = [
    ("Rain {text} stopped {0}", "Sports"),
    ("A {label_word}", "World"),
]
RAIN, COMET = ("Rain", "Sports"), ("Comet", "World")


@pytest.mark.parametrize(
    ("method", "prompt", "completion"),
    [
        (
            "direct",
            "Article: Rain {text} stopped {0}\nCategory: Sports\nArticle: A {label_word}\nCategory: World\n"
            "Article: {text}\nCategory:",
            "{label_word}",
        ),
        (
            "channel",
            "Category: Sports\nArticle: Rain {text} stopped {0}\nCategory: World\nArticle: A {label_word}\n"
            "Category: {label_word}\nArticle:",
            "{text}",
        ),
    ],
)
@pytest.mark.parametrize("source", ["{article}\n{category}\n", "{category}\n{article}", "\n{article}  \n{category} "])
def test_the_exact_format_of_the_original(method: str, prompt: str, completion: str, source: str) -> None:
    """For any order of the lines and any line ends."""
    source = source.replace("{article}", "Article: {text}").replace("{category}", "Category: {label_word}")
    template = read_template(source, ["text"], WORDS)
    assert template.open(method, DEMONSTRATIONS) == (prompt, completion, " ")
    assert template.open(method, [])[0] == prompt.split("\n", 4)[-1]


@pytest.mark.parametrize(
    ("source", "direct", "channel"),
    [
        (  # in brackets, and examples that end in a line of their own
            "Q: {text}\nAnswer: ({label_word}).\n###\n\n",
            ("Q: Rain\nAnswer: (Sports).\n###\n\nQ: {text}\nAnswer: (", "{label_word}).", ""),
            ("Answer: (Sports).\nQ: Rain\n###\n\nAnswer: ({label_word}).\nQ:", "{text}", " "),
        ),
        (  # on a separate line
            "Text:\n{text}\nClass:\n{label_word}",
            ("Text:\nRain\nClass:\nSports\nText:\n{text}\nClass:", "{label_word}", "\n"),
            ("Class:\nSports\nText:\nRain\nClass:\n{label_word}\nText:", "{text}", "\n"),
        ),
        (  # other colons
            "文章：{text}\n类别：{label_word}",
            ("文章：Rain\n类别：Sports\n文章：{text}\n类别：", "{label_word}", ""),
            ("类别：Sports\n文章：Rain\n类别：{label_word}\n文章：", "{text}", ""),
        ),
        (  # a blank line before the answer, and lines around the text
            "### Text\n{text}\n---\n\nOne of {label_words}: {label_word}\n\n",
            (
                "### Text\nRain\n---\n\nOne of World, Sports: Sports\n\n### Text\n{text}\n---\n\nOne of World, Sports:",
                "{label_word}",
                " ",
            ),
            (
                "---\n\nOne of World, Sports: Sports\n### Text\nRain\n\n"
                "---\n\nOne of World, Sports: {label_word}\n### Text",
                "{text}",
                "\n",
            ),
        ),
    ],
)
def test_any_lines(source: str, direct: tuple, channel: tuple) -> None:
    template = read_template(source, ["text"], WORDS)
    assert template.open("direct", [RAIN]) == direct
    assert template.open("channel", [RAIN]) == channel


def test_text_and_label_word_on_one_line() -> None:
    """Such a template cannot be reversed; a second template states how."""
    template = read_template("{text} It was {label_word}.", ["text"], WORDS)
    assert template.open("direct", [RAIN]) == ("Rain It was Sports.\n{text} It was", "{label_word}.", " ")
    with pytest.raises(ValueError, match="the channel method needs the text and the label word on separate lines"):
        template.open("channel", [])
    both = with_channel(template, "It was {label_word}. {text}", ["text"], WORDS)
    assert both.open("channel", [RAIN]) == ("It was Sports. Rain\nIt was {label_word}.", "{text}", " ")
    assert both.direct == template.direct
    with pytest.raises(ValueError, match="its text is before its label word"):
        with_channel(template, "{text}\n{label_word}", ["text"], WORDS)
    with pytest.raises(ValueError, match=r"its text is '{title}', that of the template '{text}'"):
        with_channel(template, "{label_word} {title}", ["title"], WORDS)


def test_columns_by_name() -> None:
    """The part from the first to the last column is the text of an example."""
    template = read_template(
        "Title: {title}\nBody text: {body text}\nTopic: {label_word}", ["title", "body text"], WORDS
    )
    text = template.text_of({"title": "Rain {body text}", "body text": "It {title} stopped"})
    assert text == "Rain {body text}\nBody text: It {title} stopped"
    prompt, _, _ = template.open("direct", [])
    assert prompt.replace("{text}", text) == f"Title: {text}\nTopic:"
    assert template.open("channel", []) == ("Topic: {label_word}\nTitle:", "{text}", " ")


def test_a_column_may_be_called_text() -> None:
    """Alone, {text} still means all columns."""
    columns = ["title", "text"]
    both = read_template("Title: {title}\nBody: {text}\nTopic: {label_word}", columns, WORDS)
    assert both.text_of({"title": "Rain", "text": "It rained"}) == "Rain\nBody: It rained"
    assert both.open("direct", [])[0] == "Title: {text}\nTopic:"
    assert read_template("Body: {text}\nTopic: {label_word}", columns, WORDS).text == "{text}"


def test_empty_lines_between_text_and_label_word_stay_between_them() -> None:
    template = read_template("### Input:\n{text}\n\n### Response:\n{label_word}\n\n", ["text"], WORDS)
    shown = "### Response:\nSports\n\n### Input:\nRain\n\n"
    assert template.open("channel", [RAIN]) == (f"{shown}### Response:\n{{label_word}}\n\n### Input:", "{text}", "\n")


@pytest.mark.parametrize(
    "source", ['{\n "text": "{text}",\n "label": "{label_word}"\n}', "(Text: {text}\nLabel: {label_word})"]
)
def test_a_template_with_dependent_halves_is_not_reversed(source: str) -> None:
    template = read_template(source, ["text"], WORDS)
    assert template.direct is not None
    with pytest.raises(ValueError, match="the channel method needs"):
        template.open("channel", [])


@pytest.mark.parametrize("method", ["direct", "channel"])
def test_the_instruction_comes_once_before_the_demonstrations(method: str) -> None:
    plain = read_template("T: {text}\nC: {label_word}", ["text"], WORDS)
    for written, read in (
        ("Choose {label_words}.", "Choose World, Sports.\n"),
        ("a\n\nb:\n\n", "a\n\nb:\n\n"),
        ("as {} {0} {x!r}", "as {} {0} {x!r}\n"),
    ):
        template = with_instruction(plain, written, WORDS)
        opened, without = template.open(method, [RAIN, COMET]), plain.open(method, [RAIN, COMET])
        assert opened == (read + without.prompt, *without[1:])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Review: {text}", "found {label_word} 0 times, expected once"),
        ("{text} {label_word}\n{label_word}", "found {label_word} 2 times, expected once"),
        (
            "Sentiment: {label_word}",
            "no field for the text, expected {text} or the names of its columns in braces",
        ),
        ("{text} {text}\n{label_word}", "found {text} twice, expected once"),
        ("{text} {title}\n{label_word}", "{text} stands for all columns: expected it alone"),
        (
            "{title}\n{label_word}",
            "the text column 'body' is missing, expected {text} or each column by its name",
        ),
        ("{title} {label_word} {body}", "{label_word} is between fields of the text"),
        (
            "{text} {label}\n{label_word}",
            "unknown field {label}, expected {text}, {title}, {body}, {label_word}, {label_words}; braces",
        ),
    ],
)
def test_invalid_templates(source: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        read_template(source, ["title", "body"], WORDS)
    assert message in str(error.value)


def test_label_words_that_look_like_fields() -> None:
    """If they were listed in a prompt, another field would be filled."""
    words = ("a {text}", "b")
    assert read_template("{text}\n{label_word}", ["text"], words).open("direct", [])[0] == "{text}"
    with pytest.raises(ValueError, match=r"a label word contains {text} or {label_word}"):
        read_template("{text}\nOne of {label_words}: {label_word}", ["text"], words)
    plain = read_template("{text}\n{label_word}", ["text"], words)
    with pytest.raises(ValueError, match=r"a label word contains {text} or {label_word}"):
        with_instruction(plain, "One of {label_words}:", words)
    with pytest.raises(ValueError, match=r"unknown field {text}, expected {label_words}; braces"):
        with_instruction(plain, "Read the {text}:", words)
