"""AG News in all its formats as prompts, and a message for every other format."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from preprocess.ag_news import LABEL_WORDS, read_split
from preprocess.errors import InputError

HUB_NAMES = ["World", "Sports", "Business", "Sci/Tech"]
FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=HUB_NAMES)})  # those of fancyzhx/ag_news
UNUSUAL = [
    (" Braces {text} {} {label_word} }{ ", 0),
    ("", 1),
    ("NA", 2),
    ("null\x00 bell\x07 \x1b[31m tab\t", 3),
    ("👩‍👩‍👧 🇫🇷 \U0010ffff", 0),
    ("\u202eمرحبا עולם", 1),
    ('He said "no", twice', 2),
    ("two\nlines", 3),
]
TRAIN = [(f"train text {number}", number % 4) for number in range(24)]
TEST = [(f"test text {number}", number % 4) for number in range(20)] + UNUSUAL


def write_headerless(path: Path, pairs: list[tuple[str, int]]) -> None:
    """The original format: class from 1, title, description."""
    write_csv(path, [(label + 1, text, "") for text, label in pairs], csv.QUOTE_ALL)


def write_csv(path: Path, rows: list[tuple], quoting: int = csv.QUOTE_MINIMAL) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=quoting).writerows(rows)


def write_form(form: str, folder: Path, split: str, pairs: list[tuple[str, int]]) -> None:
    """One split of a data set in one of its formats."""
    rows = [{"text": text, "label": label} for text, label in pairs]
    path = folder / f"{split}.{form.split()[0]}"
    if form == "csv original":
        write_headerless(path, pairs)
    elif form == "csv text":
        write_csv(path, [("text", "label"), *pairs])
    elif form == "csv names":
        write_csv(path, [("label", "text"), *((HUB_NAMES[label], text) for text, label in pairs)])
    elif form == "csv title":
        written = [(label + 1, "", text) for text, label in pairs]
        write_csv(path, [("Class Index", "Title", "Description"), *written])
    elif form == "json":
        path.write_text(json.dumps(rows))
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        (folder / "data").mkdir(exist_ok=True)
        path = folder / "data" / f"{split}-00000-of-00001.parquet"  # as the hub lays it out
        Dataset.from_list(rows, features=FEATURES).to_parquet(path)


FORMS = ["csv original", "csv text", "csv names", "csv title", "json", "jsonl", "parquet"]


@pytest.mark.parametrize("form", FORMS)
def test_every_format_gives_the_same_stripped_examples(form: str, tmp_path: Path, write_ag_news):
    write_form(form, tmp_path, "train", TRAIN)
    write_form(form, tmp_path, "test", TEST)
    done = write_ag_news(tmp_path)
    found = [(row["id"], row["text"], row["ground_truth"]) for row in done.prompts]
    assert found == [(f"test-{n}", text.strip(), LABEL_WORDS[label]) for n, (text, label) in enumerate(TEST)]
    assert len(done.meta["demonstrations"]) == 4
    assert done.meta["train_counts"] == dict.fromkeys(LABEL_WORDS, 6)


def test_a_single_file_is_a_test_split(tmp_path: Path, write_ag_news):
    write_headerless(tmp_path / "rows.csv", TEST)
    assert len(write_ag_news(tmp_path / "rows.csv", k=0).prompts) == len(TEST)
    with pytest.raises(InputError, match=r"rows.csv: no train split to draw demonstrations from; name one with --demo"):
        write_ag_news(tmp_path / "rows.csv")


def test_demonstrations_of_another_data_set(tmp_path: Path, write_ag_news):
    """Its train split, or all of it if it has none."""
    for name in ("tested", "both", "one"):
        (tmp_path / name).mkdir()
    write_headerless(tmp_path / "tested" / "test.csv", TEST)
    write_form("jsonl", tmp_path / "both", "train", TRAIN)
    write_form("jsonl", tmp_path / "both", "test", TEST)
    write_headerless(tmp_path / "one" / "test.csv", TRAIN)
    ids = write_ag_news(tmp_path / "tested", demonstrations=str(tmp_path / "both")).meta["demonstrations"]
    assert all(name.startswith("train-") for name in ids)
    again = write_ag_news(tmp_path / "tested", demonstrations=str(tmp_path / "one")).meta["demonstrations"]
    assert again == ids  # a single file is read as `test`, but not for test examples
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no train split to draw demonstrations from"):
        write_ag_news(tmp_path / "tested", demonstrations=str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("content", "first", "labels"),
    [
        ("label,text\n1,a\n0,b\n", None, [1, 0]),  # a 0 proves that it counts from 0
        ("text,label\na,4\nb,1\n", None, [3, 0]),  # a 4, from 1
        ("description,class,title\na,4,b\na,2,b\n", None, [3, 1]),
        ("Description,Class Index,Title\na,1,b\na,2,b\n", None, [0, 1]),  # this header is known
        ('"1","a","b"\n"2","a","b"\n', None, [0, 1]),  # and the form without one
        ("class,title,description\n1,a,b\n3,a,b\n", 0, [1, 3]),
        ("class,title,description\n1,a,b\n3,a,b\n", 1, [0, 2]),
        ("label,text\nWorld,a\n1,b\n", 1, [0, 0]),
        ("1,a,b\n2,a,b\n", 0, [1, 2]),
        ("text,label\na,1.0\nb,0.0\n", None, [1, 0]),
    ],
)
def test_the_first_class_number_is_proved_known_or_declared(
    content: str, first: int | None, labels: list[int], tmp_path: Path
):
    (tmp_path / "test.csv").write_text(content)
    examples = read_split(str(tmp_path), "test", first_label=first).examples
    assert [LABEL_WORDS.index(example.label_word) for example in examples] == labels


@pytest.mark.parametrize(
    "content",
    [
        "text,label\na,1\nb,2\nc,3\n",
        "class,title,description\n1,a,b\n",
        "label,text\n2,a\nWorld,b\n",
    ],
)
def test_classes_that_may_count_from_0_or_from_1_are_refused(content: str, run_script, tmp_path: Path):
    """Otherwise they could silently be shifted by one. The flag resolves it."""
    (tmp_path / "test.csv").write_text(content)
    command = [
        "run_preprocess_direct_ag_news.py",
        "--dataset_path",
        tmp_path,
        "--k",
        "0",
        "--data_path",
        tmp_path / "x",
    ]
    done = run_script(*command)
    assert done.returncode == 2
    assert "neither 0 nor 4: it may count from 0 or from 1; set --first_label 0 or --first_label 1" in done.stderr
    assert done.stderr.count("\n") == 1
    assert run_script(*command, "--first_label", "1").returncode == 0


def test_classes_with_names_need_no_number(tmp_path: Path):
    """In a table that `datasets` wrote, the names decide, for any numbering."""
    for number, names in enumerate(
        (HUB_NAMES, HUB_NAMES[::-1], ["World", "Sports", "Business", "Science and technology"])
    ):
        features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
        rows = [{"text": "a", "label": 1}, {"text": "b", "label": 2}]
        Dataset.from_list(rows, features=features).save_to_disk(tmp_path / str(number))
        examples = read_split(str(tmp_path / str(number)), "test").examples
        expected = ["Business", "Sports"] if number == 1 else ["Sports", "Business"]
        assert [example.label_word for example in examples] == expected


@pytest.mark.parametrize("method", ["direct", "channel"])
def test_the_exact_prompt(method: str, tmp_path: Path, write_ag_news):
    write_headerless(tmp_path / "train.csv", [(f"{text} of {{text}}", label) for text, label in TRAIN])
    write_headerless(tmp_path / "test.csv", [(" A title \n", 3)])
    done = write_ag_news(tmp_path, method)
    shown = [int(name.removeprefix("train-")) for name in done.meta["demonstrations"]]
    pairs = [(f"train text {number} of {{text}}", LABEL_WORDS[number % 4]) for number in shown]
    assert sorted(word for _, word in pairs) == sorted(LABEL_WORDS)
    if method == "direct":
        prompt = "".join(f"Article: {text}\nCategory: {word}\n" for text, word in pairs)
        prompt, completion = prompt + "Article: {text}\nCategory:", "{label_word}"
    else:
        prompt = "".join(f"Category: {word}\nArticle: {text}\n" for text, word in pairs)
        prompt, completion = prompt + "Category: {label_word}\nArticle:", "{text}"
    assert done.prompts == [
        {
            "id": "test-0",
            "prompt": prompt,
            "completion": completion,
            "text": "A title",
            "label_words": ["World", "Sports", "Business", "Science and technology"],
            "ground_truth": "Science and technology",
        }
    ]


def test_numbers_and_names_may_share_a_column(tmp_path: Path):
    write_csv(tmp_path / "test.csv", [("text", "label"), ("a", 1), ("b", "sci/tech"), ("c", 0)])
    examples = read_split(str(tmp_path), "test").examples
    assert [example.label_word for example in examples] == ["Sports", "Science and technology", "World"]


def test_the_meta_file_and_the_summary(tmp_path: Path, write_ag_news):
    write_form("jsonl", tmp_path, "train", TRAIN)
    write_form("jsonl", tmp_path, "test", TEST)
    done = write_ag_news(tmp_path, "channel", k=2, seed=7, limit=6)
    shown = done.meta.pop("demonstrations")
    assert len(shown) == 8
    assert done.meta == {
        "dataset": "ag_news",
        "dataset_path": str(tmp_path),
        "split": "test",
        "method": "channel",
        "k": 2,
        "seed": 7,
        "limit": 6,
        "demonstrations_path": str(tmp_path),
        "template": {"prompt": "Category: {label_word}\nArticle:", "completion": "{text}"},
        "label_words": list(LABEL_WORDS),
        "num_examples": 6,
        "train_counts": dict.fromkeys(LABEL_WORDS, 6),
        "test_counts": {"World": 2, "Sports": 2, "Business": 1, "Science and technology": 1},
        "dropped_without_text": {},
    }
    screen = done.screen.splitlines()
    assert screen[0] == f"ag_news, channel: 6 examples from {tmp_path}"
    assert [line.split() for line in screen[1:4]] == [["World", "2"], ["Sports", "2"], ["Business", "1"]]
    assert screen[5] == f"demonstrations (k = 2, seed = 7): {', '.join(shown)}"
    assert screen[6] == f"written to {tmp_path / 'written' / 'inputs_channel.json'}"


def test_limit_keeps_the_first_ones_and_zero_shot_needs_no_train_split(tmp_path: Path, write_ag_news):
    write_headerless(tmp_path / "test.csv", TEST)
    whole, part = write_ag_news(tmp_path, k=0), write_ag_news(tmp_path, k=0, limit=3)
    assert part.prompts == whole.prompts[:3]
    assert whole.prompts[0]["prompt"] == "Article: {text}\nCategory:"
    assert whole.meta["demonstrations"] == []
    assert "demonstrations (k = 0, seed = 42): none" in whole.screen
    assert len(write_ag_news(tmp_path, k=0, limit=1000).prompts) == len(TEST)


def test_the_sample_set_is_not_called_ag_news(root: Path, write_ag_news):
    by_default = write_ag_news()
    assert by_default.meta["dataset"] == "ag_news_sample"
    assert write_ag_news(root / "samples" / "ag_news").meta["dataset"] == "ag_news_sample"
    assert write_ag_news(root / "samples" / "ag_news" / "test.csv", k=0).meta["dataset"] == "ag_news_sample"
    assert len(by_default.prompts) >= 100


def test_the_same_command_twice_gives_the_same_bytes(tmp_path: Path, write_ag_news):
    write_ag_news(limit=9)
    folder = tmp_path / "written"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_ag_news(limit=9)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert write_ag_news(limit=9, seed=3).meta["demonstrations"] != write_ag_news(limit=9).meta["demonstrations"]


def test_the_real_set_gets_the_prompt_of_the_original(data: Path, write_ag_news):
    """The whole test split; demonstrations by the original system's call on the same rows."""
    pairs = {}
    for split in ("train", "test"):
        with (data / "ag_news" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            pairs[split] = [(f"{title} {text}".strip(), int(label) - 1) for label, title, text in csv.reader(file)]
    rows = [{"text": text, "label": label} for text, label in pairs["train"]]
    train = Dataset.from_list(rows, features=FEATURES)
    drawn = train.train_test_split(train_size=4, seed=42, stratify_by_column="label")["train"]
    shown = "".join(f"Article: {row['text']}\nCategory: {LABEL_WORDS[row['label']]}\n" for row in drawn)
    done = write_ag_news(data / "ag_news")
    assert {row["prompt"] for row in done.prompts} == {shown + "Article: {text}\nCategory:"}
    assert [(row["text"], LABEL_WORDS.index(row["ground_truth"])) for row in done.prompts] == pairs["test"]
    assert done.meta["dataset"] == "ag_news"
    assert done.meta["test_counts"] == dict.fromkeys(LABEL_WORDS, 1900)
    counted = Counter(LABEL_WORDS[label] for _, label in pairs["train"])
    assert done.meta["train_counts"] == counted


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "test.csv",
            '"1","a","b"\n"5","c","d"\n',
            "test row 1 (line 2): class '5', expected one of 1, 2, 3, 4 or world, sports, business, science",
        ),
        (
            "test.csv",
            '"1","a","b"\n"2","c"\n',
            "test.csv: line 2: 2 fields, expected 3: class, title, description; a field that",
        ),
        ("test.csv", "1,a\n", "test.csv: line 1: 2 fields, expected 3: class, title, description"),
        ("test.csv", "0,a,b\n", "test row 0 (line 1): class '0', expected one of 1, 2, 3, 4 or"),
        ("test.csv", "1,a,b\n\n2,a,b\n", "test.csv: line 2: an empty line between rows"),
        ("test.csv", '"1","a","b"\n"2","c","d\n', "test.csv: line 2: invalid csv: unclosed quote"),
        ("test.csv", b'"1","a","caf\xe9"\n', "test.csv: line 1: not utf-8: 0xe9 (invalid continuation byte)"),
        ("test.csv", "", "test.csv: is empty (--dataset_path)"),
        ("test.csv", "text,label\n", "no test examples with text"),
        ("test.csv", "text,label\na,0\nb,4\n", "test: label contains both 0 and 4, expected 4 numbers from 0 or"),
        ("test.csv", "text,label\na,-1\n", "test row 0 (line 2): label '-1', expected one of 0, 1, 2, 3 or world"),
        (
            "test.csv",
            "text,label\na,Opinion\n",
            "test row 0 (line 2): label 'Opinion', expected a number, or one of world, sports",
        ),
        ("test.csv", "class index,title,description\n0,a,b\n", "test row 0 (line 2): class index '0', expected"),
        ("test.csv", "text\na\n", "a column label, Class Index or class; found text"),
        (
            "test.csv",
            "headline,label\na,1\n",
            "and a column label, Class Index or class; found headline, label",
        ),
        ("test.csv", "text,label\na,1,2\nb\n\n,,,,\n", "test.csv: line 2: 3 fields, expected 2: text, label"),
        ("test.jsonl", '{"text": 7.5, "label": 0}\n', "test row 0 (line 1): the text is 7.5, expected a string"),
        ("test.jsonl", '{"text": null, "label": 0}\n', "no test examples with text"),
        ("test.jsonl", '{"text": "a", "label": true}\n', "test row 0 (line 1): label True, expected"),
        ("test.jsonl", '{"text": "a", "label": 1.5}\n', "test row 0 (line 1): label 1.5, expected"),
        ("test.jsonl", '{"text": "a"}\n', "a column label, Class Index or class; found text"),
        ("test.csv", "text,Text,label\na,a,0\n", "columns differ only in case: text, Text, label"),
        ("test.json", '[{"text": "a", "label": 1}', "test.json: not JSON: column 27: Expecting ',' delimiter"),
        ("test.json", "[]", "no test examples with text"),
        ("test.parquet", b"PAR1 and no more of it", "test.parquet: not readable as parquet: "),
        ("train.csv", "text,label\na,1\n", "no test split; found train (--dataset_path)"),
        ("test.xml", "<a/>", "no test split (--dataset_path)"),
    ],
)
def test_every_defect_of_a_data_set_has_a_message(
    name: str, content: str | bytes, message: str, tmp_path: Path, write_ag_news
):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as error:
        write_ag_news(tmp_path, k=0)
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert not (tmp_path / "written").exists()
