"""Generate: the model's text, and the label word in it."""

import json

import pytest

from evaluate.generation import GenerateConfig, example_seed, first_label_word
from preprocess.errors import InputError

FIELDS = ["id", "label_words", "ground_truth", "prediction", "correct", "generation"]
NEWS = ["World", "Sports", "Business", "Science and technology"]
BLOCKS = ["Page-header", "Page", "Text", "Title", "List-item", "Section-header"]


@pytest.mark.parametrize(
    ("generation", "label_words", "expected"),
    [
        (" Sports\nArticle: World", NEWS, "Sports"),
        ("It is about business.", NEWS, "Business"),
        ("SCIENCE AND TECHNOLOGY", NEWS, "Science and technology"),
        ("(World)", NEWS, "World"),
        ("", NEWS, None),
        ("Worldwide, Sportsmen, Underworld", NEWS, None),
        ("World_Sports 2World", NEWS, None),
        ("Science", NEWS, None),
        ("Science and technologyx, sports", NEWS, "Sports"),
        # the longer one at the same place, else the first
        ("Page-header", BLOCKS, "Page-header"),
        ("Page-headers", BLOCKS, "Page"),
        ("page Page-header", BLOCKS, "Page-header"),
        ("Text Page-header", BLOCKS, "Text"),
        ("Science and technology", ["Science", "Science and technology"], "Science and technology"),
        ("Science and", ["Science and technology", "Science"], "Science"),
        # punctuation and what means something to a regular expression
        ("sci-fi", ["fi", "Sci-fi", "Sci"], "Sci-fi"),
        ("Sci fi", ["Sci-fi", "fi"], "fi"),
        ("C++ or C", ["C", "C++"], "C++"),
        ("C++17", ["C++", "C"], "C"),
        ("CCC", ["C+", "x"], None),
        ("a.b", ["a.b", "x"], "a.b"),
        ("acb", ["a.b", "x"], None),
        ("x (other)", ["(other)", "[a-z]"], "(other)"),
        ("100 %", ["%", "$"], "%"),
        ("\\d 7", ["\\d", "7"], "\\d"),
        # other scripts
        ("ÉCONOMIE", ["Économie", "Sport"], "Économie"),
        ("это СПОРТ", ["спорт", "мир"], "спорт"),
        ("答案是B。", ["A", "B"], "B"),
        ("答案是体育新闻", ["体育", "财经"], "体育"),
        ("これはスポーツです", ["政治", "スポーツ"], "スポーツ"),
        ("정답은 긍정입니다", ["부정", "긍정"], "긍정"),
        ("คำตอบคือกีฬา", ["กีฬา", "ธุรกิจ"], "กีฬา"),
        ("不可", ["可", "不可"], "不可"),
        ("Sports新闻", ["World", "Sports"], "Sports"),
        ("खेलों", ["खेल", "x"], None),
        ("cafe\u0301", ["cafe", "café"], "café"),
        # as it is written before any other case
        ("it may be World", ["May", "World"], "World"),
        ("may", ["May", "World"], "May"),
        ("I would pick a B", ["A", "B"], "B"),
        ("a day", ["A", "B"], None),
        ("Option b", ["A", "B"], None),
        ("B or A", ["A", "B"], "B"),
        ("(A)", ["A", "B"], "A"),
        ("答案是Ｂ。", ["A", "B"], "B"),
        ("ＷＯＲＬＤ", ["World", "Sports"], "World"),
        ("_Sports_ and __World__", ["World", "Sports"], "Sports"),
        ("snake_World", ["World", "Sports"], None),
        ("Not  positive", ["Positive", "Not positive"], "Not positive"),
        ("Science\nand technology", NEWS, "Science and technology"),
    ],
)
def test_first_label_word(generation, label_words, expected):
    """The first whole word; exact case is preferred; of two that start at the same place, the longer one; None if there
    is none.

    The order of the label words does not matter.
    """
    assert first_label_word(generation, label_words) == expected
    assert first_label_word(f"1 {generation} ", label_words[::-1]) == expected


def test_label_words_that_only_their_case_tells_apart():
    """The one with the exact case, else the first one."""
    assert [first_label_word(text, ["US", "us"]) for text in ("us", "US", "Us")] == ["us", "US", "US"]


def test_greedy_is_the_definition(evaluate, write_prompts, definition, tmp_path):
    """Greedy decoding from the filled prompt, and the first label word in the text."""
    inputs = write_prompts("direct")
    rows, meta = evaluate("generate", tmp_path / "outputs.json", data_path=inputs, temperature=0, max_gen_len=12)
    for example, row in zip(json.loads(inputs.read_text()), rows, strict=True):
        prompt, _ = definition.pairs(example, definition.cut(example, room=12, generate=True))[0]
        assert row["generation"] == definition.continuation(prompt, 12), row["id"]
        assert row["prediction"] == first_label_word(row["generation"], example["label_words"])
        assert list(row) == ([*FIELDS[:5], "group", "generation"] if "group" in example else FIELDS)
        assert row["correct"] is (row["prediction"] == example["ground_truth"])
    assert {row["prediction"] for row in rows} > {None}
    assert meta["tokens_scored"] <= 12 * len(rows)


def test_draws_depend_on_seed_and_id_alone(evaluate, write_prompts, make_rows, tmp_path):
    """Not on the batch, the position in the file or the other examples."""
    examples = make_rows("direct")

    def generate(name, rows, **flags):
        path = write_prompts("direct", rows)
        found, _ = evaluate("generate", tmp_path / name, data_path=path, temperature=1.5, **flags)
        return {row["id"]: row["generation"] for row in found}

    expected = generate("all.json", examples)
    assert generate("again.json", examples[::-1], max_batch_size=3) == expected
    assert generate("some.json", examples[2:6], max_batch_size=1).items() <= expected.items()
    other = generate("other.json", examples, seed=2)
    assert sum(other[name] != text for name, text in expected.items()) > len(expected) / 2
    twins = [examples[0] | {"id": name} for name in "abcd"]
    assert len(set(generate("twins.json", twins).values())) > 1


def test_top_p_0_is_greedy(evaluate, write_prompts, tmp_path):
    flags = {"data_path": write_prompts("direct")}
    greedy, _ = evaluate("generate", tmp_path / "a.json", temperature=0, **flags)
    narrow, _ = evaluate("generate", tmp_path / "b.json", temperature=0.8, top_p=0, **flags)
    assert narrow == greedy


def test_the_answer_ends_at_the_stop_string(evaluate, write_prompts, definition, tmp_path, capsys):
    """The greedy continuation, cut by hand; later text gives no answer."""
    inputs = write_prompts("direct")
    flags = {"data_path": inputs, "temperature": 0, "max_gen_len": 12}
    free, free_meta = evaluate("generate", tmp_path / "free.json", **flags, stop="")
    assert free_meta["settings"]["stop"] == []
    generated = [row["generation"] for row in free]
    stop = next(text[3:5] for text in generated if text[3:5].strip() == text[3:5] and len(text) > 5)
    rows, meta = evaluate("generate", tmp_path / "cut.json", **flags, stop=json.dumps([stop, "\\n"]))
    assert meta["settings"]["stop"] == [stop, "\\n"]
    assert [row["generation"] for row in rows] == [text.partition(stop)[0] for text in generated]
    assert all(row["prediction"] == first_label_word(row["generation"], row["label_words"]) for row in rows)
    assert meta["tokens_scored"] < free_meta["tokens_scored"]


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (r"\n", ["\n"]),
        ("", []),
        ("###", ["###"]),
        (r"\r\n\tx", ["\r\n\tx"]),
        ('["\\n", "a b"]', ["\n", "a b"]),
        ("[]", []),
    ],
)
def test_stop_strings(stop, expected):
    assert GenerateConfig(stop=stop).stops() == expected
    assert GenerateConfig().stops() == ["\n"]


@pytest.mark.parametrize("stop", ["[", '["a", 1]', '[""]', "[x]"])
def test_invalid_lists_of_stop_strings(stop):
    with pytest.raises(InputError, match=r"--stop .*: expected a string, or a JSON list of strings"):
        GenerateConfig(stop=stop)


def test_a_label_word_that_cannot_be_generated(evaluate, write_prompts, make_rows, tmp_path, capsys):
    flags = {"data_path": write_prompts("direct", make_rows("direct", {"a": "rain"})), "temperature": 0}
    evaluate("generate", tmp_path / "a.json", **flags, max_gen_len=2)
    said = capsys.readouterr().err
    assert "warning: --max_gen_len 2 is too small for " in said
    assert "'Science and technology' has " in said
    letters = [row | {"separator": "\n"} for row in make_rows("direct", {"a": "rain"}, ["A", "B"])]
    letters[0]["ground_truth"] = "A"
    flags["data_path"] = write_prompts("direct", letters)
    evaluate("generate", tmp_path / "c.json", **flags, max_gen_len=1)  # the context holds the line break
    assert "max_gen_len" not in capsys.readouterr().err
    evaluate("generate", tmp_path / "b.json", **flags, max_gen_len=100)
    assert "max_gen_len" not in capsys.readouterr().err


def test_seeds_of_examples():
    """Seeds differ for all seeds and ids, with any characters in an id, and fit into torch's 64 bits."""
    seeds = [example_seed(seed, name) for seed in range(3) for name in ("a", "1 a", "test-1", "é", "\ud83d", "")]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
