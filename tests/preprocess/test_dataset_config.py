"""The YAML file of a data set: all keys, and a message with a line number for every mistake."""

from pathlib import Path

import pytest

from llama.templates import read_template
from preprocess import ag_news
from preprocess.build import DataSet
from preprocess.dataset_config import DatasetConfig, read_dataset_config
from preprocess.delimited import Format
from preprocess.demonstrations import draw_per_class, draw_stratified
from preprocess.errors import InputError
from preprocess.labels import Labels

VALID = """\
dataset: films
path: owner/films
text: review
label: stars
label_words: [Bad, Good]
template: |
  Review: {text}
  Verdict: {label_word}
"""


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "films.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_required_keys_are_sufficient(tmp_path: Path):
    path = write(tmp_path, VALID)
    lines = {"dataset": 1, "path": 2, "text": 3, "label": 4, "label_words": 5, "template": 6}
    places = {key: f"{path}:{line}" for key, line in lines.items()}
    template = read_template("Review: {text}\nVerdict: {label_word}", ["review"], ("Bad", "Good"))
    dataset = DataSet("films", "owner/films", template, ("Bad", "Good"), draw_per_class, places=places)
    labels, form = Labels(("Bad", "Good"), numbered=True), Format(needed=("review", "stars"))
    assert read_dataset_config(path) == DatasetConfig(dataset, ("review",), "stars", labels, form=form)
    assert (dataset.split, dataset.train_split, dataset.k, dataset.sample) == ("test", "train", 1, "")


def test_every_key_is_read(tmp_path: Path):
    more = (
        "split: dev\ntrain_split: fit\nk: 3\ndraw: stratified\nconfig: short\nrevision: v2\nsample: samples/films\n"
        "headerless: [title, review]\nencoding: latin-1\ndelimiter: tab\nquote: none\nfirst_label: 1\n"
        "id: idx\ngroup: page\ntest_size: .25\nsplit_seed: 7\n"
        "instruction: Judge.\nchannel_template: '{label_word}! {text}'\n"
    )
    config = read_dataset_config(write(tmp_path, VALID + more))
    dataset = config.dataset
    assert (dataset.split, dataset.train_split, dataset.k, dataset.sample) == ("dev", "fit", 3, "samples/films")
    assert dataset.draw is draw_stratified
    assert config.hub == {"name": "short", "revision": "v2"}
    assert config.form == Format("latin-1", "\t", False, ("title", "review"), needed=("review", "stars"))
    assert (config.id, config.group, config.test_size, config.split_seed) == ("idx", "page", 0.25, 7)
    assert config.labels.first == 1
    assert dataset.template.open("direct", [])[0] == "Judge.\nReview: {text}\nVerdict:"
    assert dataset.template.open("channel", []) == ("Judge.\n{label_word}!", "{text}", " ")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[Bad, Good]", "{-1: Bad, 1: Good}", {"-1": "Bad", "1": "Good"}),
        ("[Bad, Good]", "{01: Bad, 1: Good}", {"01": "Bad", "1": "Good"}),
        ("[Bad, Good]", "{true: Bad, False: Good}", {"true": "Bad", "False": "Good"}),
        ("[Bad, Good]", "{'cafe\u0301': Bad, x: 'cafe\u0301'}", {"caf\xe9": "Bad", "x": "cafe\u0301"}),
        ("[Bad, Good]", "{neg: Bad, pos: Very good}", {"neg": "Bad", "pos": "Very good"}),
        ("[Bad, Good]", "{no: 'off', 1.0: 007}", {"no": "off", "1.0": "007"}),
    ],
)
def test_words_are_not_converted(old: str, new: str, words: dict[str, str], tmp_path: Path):
    config = read_dataset_config(write(tmp_path, VALID.replace(old, new)))
    assert config.labels == Labels(tuple(words.values()), words)
    assert config.dataset.label_words == tuple(words.values())


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ("[no, Yes]", ("no", "Yes")),  # to YAML, false and true
        ("\n  - ' Bad '\n  - \"G\\xf6\\xf6d {text}\"", ("Bad", "Gööd {text}")),
    ],
)
def test_words_of_a_list_are_not_converted(new: str, words: tuple[str, ...], tmp_path: Path):
    config = read_dataset_config(write(tmp_path, VALID.replace("[Bad, Good]", new)))
    assert config.labels == Labels(words, numbered=True)
    assert config.dataset.label_words == words


def test_a_path_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/reader")
    config = read_dataset_config(write(tmp_path, VALID.replace("owner/films", "~/films") + "sample: ~/sample\n"))
    assert (config.dataset.path, config.dataset.sample) == ("/home/reader/films", "/home/reader/sample")


@pytest.mark.parametrize(
    ("value", "delimiter"), [("';'", ";"), ('","', ","), ("tab", "\t"), (r'"\t"', "\t"), (r"\t", "\t"), ('"|"', "|")]
)
def test_delimiters(value: str, delimiter: str, tmp_path: Path):
    assert read_dataset_config(write(tmp_path, f"{VALID}delimiter: {value}\n")).form.delimiter == delimiter


@pytest.mark.parametrize(("value", "size"), [("200", 200), ("1", 1), ("0.2", 0.2), (".05", 0.05)])
def test_sizes(value: str, size: float, tmp_path: Path):
    assert read_dataset_config(write(tmp_path, f"{VALID}test_size: {value}\n")).test_size == size


def test_text_may_be_several_columns(tmp_path: Path):
    assert read_dataset_config(write(tmp_path, VALID.replace("review", "[title, body]"))).text == ("title", "body")


@pytest.mark.parametrize(
    "template", ['"Review: {text}\\nVerdict: {label_word}"', "|-\n    Review: {text}  \n    Verdict: {label_word}"]
)
def test_templates_may_be_written_in_other_ways(template: str, tmp_path: Path):
    dataset = read_dataset_config(write(tmp_path, VALID.partition("|\n")[0] + template)).dataset
    assert dataset.template.open("direct", []) == ("Review: {text}\nVerdict:", "{label_word}", " ")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("label: stars", "labels: stars", 4, "unknown key 'labels', expected one of dataset, path, text, label, "),
        ("label: stars", "", 1, "key 'label' is missing"),
        ("label: stars", "text: stars", 4, "duplicate key 'text', first at "),
        ("label: stars", "label:", 4, "label is empty, expected a text"),
        ("label: stars", "label: ''", 4, "label is empty, expected a text"),
        ("label: stars", "label: review", 4, "label is 'review', which is a column of the text"),
        ("label: stars", "label: [stars]", 4, "label is a list, expected a text"),
        ("label: stars", "label: {a: b}", 4, "label is a mapping, expected a text"),
        ("label: stars", 'label: "a\\nb"', 4, "label is 'a\\nb', expected one line of text"),
        ("label: stars", "label: !!python/name:os.system x", 4, "label is a value with the tag tag:yaml.org,2002:py"),
        ("label: stars", "label: &a [*a]", 4, "label is a list, expected a text"),
        ("label: stars", "[label]: stars", 4, "a key is a list, expected a text"),
        ("text: review", "text: []", 3, "text: the list is empty"),
        ("text: review", "text:\n- a\n- [b]", 5, "text is a list, expected a text"),
        ("text: review", "text:\n- a\n- a", 5, "text: duplicate 'a'"),
        ("text: review", "text: {a: b}", 3, "text is a mapping, expected a text"),
        ("dataset: films", "dataset: a/b", 1, "dataset is 'a/b', expected letters, digits, '_', '-' and '.'"),
        ("dataset: films", "dataset: ../b", 1, "dataset is '../b', expected letters, digits, '_', '-' and '.'"),
        ("[Bad, Good]", "Bad", 5, "label_words is 'Bad', expected a list, or a mapping: value -> label word"),
        ("[Bad, Good]", "", 5, "label_words is empty, expected a list, or a mapping: value -> label word"),
        ("[Bad, Good]", "[Bad]", 5, "label_words: found 1, expected at least two"),
        ("[Bad, Good]", "{}", 5, "label_words: found 0, expected at least two"),
        ("[Bad, Good]", "\n- Bad\n- Bad", 7, "label_words: duplicate label word 'Bad'"),
        ("[Bad, Good]", "\n- Bad\n- ' '", 7, "a label word is empty, expected a text"),
        ("[Bad, Good]", "\n- Bad\n-", 7, "a label word is empty, expected a text"),
        ("[Bad, Good]", "\n- Bad\n- [Good]", 7, "a label word is a list, expected a text"),
        ("[Bad, Good]", "\n  0: Bad\n  '0': Good", 7, "label_words: duplicate value '0'"),
        ("[Bad, Good]", "\n  0: Bad\n  1: Bad", 7, "label_words: duplicate label word 'Bad'"),
        ("[Bad, Good]", "\n  0: Bad\n  [1]: Good", 7, "a value of label_words is a list, expected a text"),
        ("[Bad, Good]", '[Bad, " Bad"]', 5, "label_words: duplicate label word 'Bad'"),
        ("[Bad, Good]", "[caf\xe9, cafe\u0301]", 5, "label_words: duplicate label word 'cafe\u0301'"),
        ("[Bad, Good]", "{caf\xe9: Bad, cafe\u0301: Good}", 5, "label_words: duplicate value 'caf\xe9'"),
        ("label: stars", "label: stars\nencoding: utf-9", 5, "encoding is 'utf-9', expected a text encoding"),
        (
            "label: stars",
            "label: stars\nencoding: base64",
            5,
            "encoding is 'base64', expected a text encoding",
        ),
        ("label: stars", "label: stars\nencoding: undefined", 5, "encoding is 'undefined', expected a text encoding"),
        ("label: stars", "label: stars\ndelimiter: ab", 5, "delimiter is 'ab', expected one character, such as ';'"),
        ("label: stars", "label: stars\ndelimiter: a", 5, "delimiter is 'a', expected one character"),
        ("label: stars", "label: stars\ndelimiter: '\"'", 5, "delimiter is '\"', expected one character"),
        ("label: stars", "label: stars\ndelimiter:", 5, "delimiter is empty, expected one character"),
        ("label: stars", "label: stars\ndelimiter: [',']", 5, "delimiter is a list, expected one character"),
        ("label: stars", "label: stars\nquote: single", 5, "quote is 'single', expected double or none"),
        ("label: stars", "label: stars\nfirst_label: 2", 5, "first_label is '2', expected 0 or 1"),
        ("[Bad, Good]", "{a: Bad, b: Good}\nfirst_label: 1", 6, "first_label is only for a list of label words, but"),
        ("label: stars", "label: stars\ntest_size: 0", 5, "test_size is '0', expected a number of rows, or a fraction"),
        ("label: stars", "label: stars\ntest_size: 1.5", 5, "test_size is '1.5', expected a number of rows"),
        ("label: stars", "label: stars\ntest_size: 20%", 5, "test_size is '20%', expected a number of rows"),
        ("label: stars", "label: stars\nsplit_seed: x", 5, "split_seed is 'x', expected a whole number, 0 or more"),
        ("label: stars", "label: stars\ngroup: review", 5, "group is 'review', which is a column of the text"),
        ("[Bad, Good]", '[Bad, "\\ud800"]', 5, "a label word is '\\ud800', expected one line of text"),
        ("Verdict: {label_word}", "Verdict:", 6, "template: found {label_word} 0 times, expected once"),
        ("Review: {text}", "Review:", 6, "template: no field for the text, expected {text}"),
        ("Review: {text}", "Review: {stars}", 6, "template: unknown field {stars}, expected {text},"),
        ("template: |", "template: [a, b]\ninstruction: |", 6, "template is a list, expected lines of text"),
        ("template: |", "template:\ninstruction: |", 6, "template is empty, expected lines of text"),
        ("template: |", 'template: "{text}\\n{label_word}\\ud800"\ninstruction: |', 6, "template contains '\\ud800'"),
        ("label: stars", "label: stars\ninstruction: ' '", 5, "instruction is empty, expected lines of text"),
        (
            "label: stars",
            "label: stars\ninstruction: '{text}'",
            5,
            "instruction: unknown field {text}, expected {label_words}",
        ),
        (
            "label: stars",
            "label: stars\nchannel_template: '{text}{label_word}'",
            5,
            "channel_template: its text is",
        ),
        ("label: stars", "label: stars\nk: two", 5, "k is 'two', expected a whole number, 0 or more"),
        ("label: stars", "label: stars\nk: -1", 5, "k is '-1', expected a whole number, 0 or more"),
        ("label: stars", "label: stars\nk: [1]", 5, "k is a list, expected a text"),
        ("label: stars", "label: stars\nsplit: test[:9]", 5, "split is 'test[:9]', expected letters, digits"),
        ("label: stars", "label: stars\ndraw: best", 5, "draw is 'best', expected per_class or stratified"),
        ("label: stars", "label: stars\n<<: {a: b}", 5, "unknown key '<<', expected one of"),
        ("label: stars", "label: [stars", 5, "not YAML: "),
        ("label: stars", "label: *stars", 4, "not YAML: found undefined alias"),
        ("label: stars", "\tlabel: stars", 4, "not YAML: "),
        ("label: stars", "label: sta\x00rs", 4, "not YAML: character 0x0: special characters are not allowed"),
        ("label: stars", "---\nlabel: stars", 4, "not YAML: but found another document"),
    ],
)
def test_every_mistake_names_its_line(old: str, new: str, line: int, message: str, tmp_path: Path):
    assert VALID.count(old) == 1
    path = write(tmp_path, VALID.replace(old, new))
    with pytest.raises(InputError) as error:
        read_dataset_config(path)
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "",
            "films.yaml:1: the file is empty, expected a mapping with the keys dataset, path, text, label, label_wo",
        ),
        ("# only this\n", "films.yaml:1: the file is empty, expected a mapping with the keys"),
        ("\n- a\n", "films.yaml:2: found a list, expected a mapping with the keys"),
        ("films", "films.yaml:1: found 'films', expected a mapping with the keys"),
        (b"dataset: caf\xe9\n", "films.yaml: not UTF-8 at byte 12 in line 1 (--config)"),
        ("[" * 5000, "films.yaml:1: invalid: nested too deep"),
    ],
)
def test_invalid_files(content: str | bytes, message: str, tmp_path: Path):
    with pytest.raises(InputError) as error:
        read_dataset_config(write(tmp_path, content))
    assert message in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.yaml: no such file \(--config\)$"):
        read_dataset_config(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r": cannot be read: Is a directory \(--config\)$"):
        read_dataset_config(tmp_path)


def test_nothing_in_the_file_is_run(tmp_path: Path):
    ran = tmp_path / "ran"
    content = VALID + f"sample: !!python/object/apply:os.mkdir ['{ran}']\n"
    with pytest.raises(InputError, match="sample is a list"):
        read_dataset_config(write(tmp_path, content))
    assert not ran.exists()


@pytest.mark.parametrize("name", ["ag_news", "sst2", "trec", "dbpedia_14"])
def test_the_files_that_are_shipped(name: str, root: Path):
    config = read_dataset_config(root / "samples/datasets" / f"{name}.yaml")
    assert config.dataset.name == name
    assert len(config.labels.words) == {"ag_news": 4, "sst2": 2, "trec": 6, "dbpedia_14": 14}[name]
    assert config.dataset.k == 1


def test_ag_news_has_the_words_of_its_file():
    assert read_dataset_config(ag_news.CONFIG).dataset.label_words == ag_news.LABEL_WORDS
