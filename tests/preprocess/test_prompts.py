"""The prompt file, and all messages for an invalid one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from preprocess.errors import InputError
from preprocess.prompts import METHODS, Prompt, read_prompts, to_rows

ROW = {
    "id": "test-0",
    "prompt": "Article: {text}\nCategory:",
    "completion": "{label_word}",
    "text": "A text",
    "label_words": ["World", "Sports"],
    "ground_truth": "Sports",
}
CHANNEL = {"prompt": "Category: {label_word}\nArticle:", "completion": "{text}"}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Prompt]]:
    """A function that writes `content` as a prompt file and reads it."""

    def write_and_read(content: Any, method: str = "direct") -> list[Prompt]:
        (tmp_path / "inputs.json").write_text(json.dumps(content))
        return read_prompts(tmp_path / "inputs.json", method)

    return write_and_read


@pytest.mark.parametrize("method", METHODS)
def test_written_prompts_are_read_unchanged(method: str, read):
    prompt, completion = ROW["prompt"], ROW["completion"]
    if method == "channel":
        prompt, completion = CHANNEL.values()
    texts = ["{text}", "\x00\x07 é 👩‍👩‍👧 \u202eمرحبا", ""]
    prompts = [
        Prompt(f"p-{number}", prompt, completion, text, ("a", "b {c}"), "a", group, separator)
        for number, (text, group, separator) in enumerate(
            zip(texts, ["page 1", None, "page 2"], [" ", "", "\n"], strict=True)
        )
    ]
    rows = to_rows(prompts)
    assert ["group" in row for row in rows] == [True, False, True]
    assert [row.get("separator") for row in rows] == [None, "", "\n"]  # one space goes without saying
    assert read(rows, method) == prompts


def test_examples_share_a_prompt(read):
    """With demonstrations it is long: one object for all."""
    first, second = read([ROW, ROW | {"id": "test-1"}])
    assert first.prompt is second.prompt


def test_files_of_the_original_format_get_row_numbers_as_ids(read):
    """Without ids, and with unknown fields, which are ignored."""
    row = {key: value for key, value in ROW.items() if key != "id"} | {"inputs": 1, "label": 2}
    assert [(prompt.id, prompt.group) for prompt in read([row, row, row])] == [("0", None), ("1", None), ("2", None)]


def without(field: str) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key != field}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "expected a list of examples, found an object (--data_path)"),
        ("text", "expected a list of examples, found a string"),
        (None, "expected a list of examples, found null"),
        ([], "the list of examples is empty (--data_path)"),
        ([ROW, []], "row 1: expected an object, found a list"),
        ([7], "row 0: expected an object, found a number"),
        *(([without(field)], f"row 0: field '{field}' is missing") for field in ROW if field != "id"),
        ([ROW | {"id": 17}], "row 0: 'id' is a number, expected a string"),
        ([ROW | {"id": None}], "row 0: 'id' is null, expected a string"),
        ([ROW | {"text": ["a"]}], "row 0: 'text' is a list, expected a string"),
        ([ROW | {"prompt": True}], "row 0: 'prompt' is true or false, expected a string"),
        ([ROW | {"completion": {}}], "row 0: 'completion' is an object, expected a string"),
        ([ROW | {"ground_truth": 1}], "row 0: 'ground_truth' is a number, expected a string"),
        ([ROW | {"separator": None}], "row 0: 'separator' is null, expected a string"),
        ([ROW | {"group": 3}], "row 0: 'group' is a number, expected a string"),
        ([ROW, ROW | {"id": "x"}, ROW], "row 2: duplicate id 'test-0', first in row 0"),
        ([ROW | {"id": "1"}, without("id")], "row 1: duplicate id '1', first in row 0"),
        ([ROW | {"ground_truth": "Opinion"}], "row 0: ground_truth 'Opinion', expected one of ['World', 'Sports']"),
        ([ROW | {"ground_truth": "sports"}], "ground_truth 'sports', expected one of"),
        ([ROW | {"label_words": "World"}], "'label_words' is not a list of strings"),
        ([ROW | {"label_words": ["World", 1]}], "'label_words' is not a list of strings"),
        ([ROW | {"label_words": []}], "'label_words' has 0, expected at least two"),
        ([ROW | {"label_words": ["Sports"]}], "'label_words' has 1, expected at least two"),
        ([ROW | {"label_words": ["Sports", " "]}], "'label_words' contains an empty string"),
        ([ROW | {"label_words": ["World", "Sports", "World"]}], "'label_words' contains 'World' twice"),
        ([ROW | {"label_words": ["Sports", " Sports"]}], "contains 'Sports' and ' Sports', which look the same"),
        ([ROW | {"label_words": ["Sports", "caf\u00e9", "cafe\u0301"]}], "which look the same"),
        ([ROW | {"prompt": "Article: {texts}"}], "'prompt' has no {text}, which the direct method requires"),
        ([ROW | CHANNEL], "'prompt' has no {text}, which the direct method requires"),
        ([ROW | {"completion": "World"}], "'completion' has no {label_word}, which the direct method requires"),
    ],
)
def test_every_defect_of_a_prompt_file_has_a_message(content: Any, message: str, read):
    with pytest.raises(InputError) as error:
        read(content)
    assert message in str(error.value)
    assert "inputs.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_channel_method_needs_its_own_fields(read):
    assert read([ROW | CHANNEL], "channel")[0].completion == "{text}"
    for row, message in (
        (ROW, "'prompt' has no {label_word}, which the channel method requires"),
        (ROW | CHANNEL | {"completion": ""}, "'completion' has no {text}, which the channel method requires"),
    ):
        with pytest.raises(InputError) as error:
            read([row], "channel")
        assert message in str(error.value)
