"""Data sets with a YAML file as prompts: the four shipped ones, on tables with the hub's features."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from preprocess.errors import InputError
from preprocess.prompts import read_prompts
from preprocess.tables import PreprocessConfig, preprocess_config

DBPEDIA = [
    "Company",
    "EducationalInstitution",
    "Artist",
    "Athlete",
    "OfficeHolder",
    "MeanOfTransportation",
    "Building",
    "NaturalPlace",
    "Village",
    "Animal",
    "Plant",
    "Album",
    "Film",
    "WrittenWork",
]
FEATURES = {
    "ag_news": {"text": Value("string"), "label": ClassLabel(names=["World", "Sports", "Business", "Sci/Tech"])},
    "sst2": {
        "idx": Value("int32"),
        "sentence": Value("string"),
        "label": ClassLabel(names=["negative", "positive"]),
    },
    "trec": {
        "text": Value("string"),
        "coarse_label": ClassLabel(names=["ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM"]),
        "fine_label": ClassLabel(names=[f"fine {number}" for number in range(50)]),
    },
    "dbpedia_14": {
        "label": ClassLabel(names=DBPEDIA),
        "title": Value("string"),
        "content": Value("string"),
    },
}
NOUNS = {
    "ag_news": ("Article", "Category"),
    "sst2": ("Review", "Sentiment"),
    "trec": ("Question", "Answer type"),
    "dbpedia_14": ("Article", "Category"),
}
SPLITS = {"sst2": "validation"}  # where it is not `test`
LABELS = {"trec": "coarse_label"}  # where it is not `label`
Write = Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]]


def rows_of(name: str, split: str, count: int) -> list[dict[str, Any]]:
    """Rows of a set; texts have white space at their ends, as on the hub."""
    classes = len(FEATURES[name][LABELS.get(name, "label")].names)
    rows = []
    for number in range(count):
        said, label = f"the {split} sentence {number} {{text}}", number % classes
        rows.append(
            {
                "ag_news": {"text": f"{said} ", "label": label},
                "sst2": {"idx": number, "sentence": f"{said} ", "label": label},
                "trec": {"text": f"{said} ?", "coarse_label": label, "fine_label": number % 50},
                "dbpedia_14": {"label": label, "title": f"Title {number}", "content": f" {said}"},
            }[name]
        )
    return rows


def text_of(name: str, split: str, number: int) -> str:
    said = f"the {split} sentence {number} {{text}}"
    return {"trec": f"{said} ?", "dbpedia_14": f"Title {number} {said}"}.get(name, said)


def write_set(name: str, folder: Path, classes: int = 60) -> Path:
    """A data set in the hub's layout; the test split of SST-2 has no labels."""
    for split in ("train", SPLITS.get(name, "test")):
        table = Dataset.from_list(rows_of(name, split, classes), features=Features(FEATURES[name]))
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    if name == "sst2":
        unlabelled = [row | {"label": -1} for row in rows_of(name, "test", 4)]
        table = Dataset.from_list(unlabelled, features=Features(FEATURES[name]))
        table.to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("method", ["direct", "channel"])
def test_a_shipped_set(name: str, method: str, tmp_path: Path, write: Write):
    prompts, meta = write(f"samples/datasets/{name}.yaml", write_set(name, tmp_path / "set"), method)
    split, words = SPLITS.get(name, "test"), meta["label_words"]
    found = [(row["id"], row["text"], row["ground_truth"]) for row in prompts]
    assert found == [(f"{split}-{n}", text_of(name, split, n), words[n % len(words)]) for n in range(60)]
    shown = [int(name.removeprefix("train-")) for name in meta["demonstrations"]]
    assert sorted(number % len(words) for number in shown) == list(range(len(words))), "one of each class"
    (noun, label_noun), written = NOUNS[name], ""
    for number in shown:
        lines = [f"{noun}: {text_of(name, 'train', number)}\n", f"{label_noun}: {words[number % len(words)]}\n"]
        written += "".join(lines if method == "direct" else reversed(lines))
    if method == "direct":
        written, completion = f"{written}{noun}: {{text}}\n{label_noun}:", "{label_word}"
    else:
        written, completion = f"{written}{label_noun}: {{label_word}}\n{noun}:", "{text}"
    assert {(row["prompt"], row["completion"]) for row in prompts} == {(written, completion)}
    assert (meta["dataset"], meta["split"], meta["k"], meta["num_examples"]) == (name, split, 1, 60)


def test_the_meta_file_has_the_fields_of_the_other_scripts(tmp_path: Path, write: Write, write_ag_news):
    folder = write_set("ag_news", tmp_path / "set")
    _, meta = write("samples/datasets/ag_news.yaml", folder, limit=6)
    assert meta == write_ag_news(folder, limit=6).meta
    assert list(meta) == list(write("samples/datasets/trec.yaml", write_set("trec", tmp_path / "trec"))[1])


@pytest.mark.parametrize("method", ["direct", "channel"])
@pytest.mark.parametrize("source", ["sample", "parquet", "real"])
def test_ag_news_gets_the_bytes_of_its_script(method, source, request, tmp_path: Path, write: Write, write_ag_news):
    """From its sample set, from tables like the hub's, and from the real set: texts, draw and template."""
    if source == "real":
        folder = request.getfixturevalue("data") / "ag_news"
    else:
        folder = "samples/ag_news" if source == "sample" else write_set("ag_news", tmp_path / "set")
    write("samples/datasets/ag_news.yaml", folder, method, k=2, limit=50)
    made = {path.name: path.read_bytes() for path in (tmp_path / "written").iterdir()}
    write_ag_news(folder, method, k=2, limit=50)
    assert {path.name: path.read_bytes() for path in (tmp_path / "written").iterdir()} == made


def test_the_options_work_as_with_the_other_scripts(tmp_path: Path, write: Write):
    config, folder = "samples/datasets/trec.yaml", write_set("trec", tmp_path / "set")
    prompts, meta = write(config, folder, k=2, limit=5)
    assert (len(prompts), len(meta["demonstrations"]), meta["limit"]) == (5, 12, 5)
    assert write(config, folder, k=2, limit=5)[1] == meta
    assert write(config, folder, k=2, limit=5, seed=1)[1]["demonstrations"] != meta["demonstrations"]
    prompts, meta = write(config, folder, k=0)
    assert (prompts[0]["prompt"], meta["demonstrations"]) == ("Question: {text}\nAnswer type:", [])
    lone = folder / "data" / "train-00000-of-00001.parquet"
    _, meta = write(config, folder, demonstrations=str(lone))
    assert meta["demonstrations_path"] == str(lone)
    assert all(name.startswith("train-") for name in meta["demonstrations"])


def test_one_file_is_the_classified_split(tmp_path: Path, write: Write):
    folder = write_set("sst2", tmp_path / "set") / "data"
    prompts, _ = write("samples/datasets/sst2.yaml", folder / "validation-00000-of-00001.parquet", k=0)
    assert prompts[0]["id"] == "validation-0"
    with pytest.raises(InputError, match="no train split to draw demonstrations from; name one with --demonstrations"):
        write("samples/datasets/sst2.yaml", folder / "validation-00000-of-00001.parquet")


def test_the_hub_is_asked_for_a_revision_and_a_name(tmp_path: Path, write: Write, monkeypatch, capsys):
    asked, load, here = [], datasets.load_dataset, str(write_set("trec", tmp_path / "hub"))

    def load_from_here(path: str, name: str = "", revision: str = "", **options: Any) -> Any:
        asked.append((path, name, revision, options["split"]))
        return load(here, **options)

    monkeypatch.setattr(datasets, "load_dataset", load_from_here)
    write("samples/datasets/trec.yaml", "")
    assert asked == [("CogComp/trec", "", "refs/convert/parquet", split) for split in ("test", "train")]
    assert "trec, direct: 60 examples from CogComp/trec\n" in capsys.readouterr().out
    config = tmp_path / "named.yaml"
    config.write_text(Path("samples/datasets/trec.yaml").read_text().replace("revision: ", "config: ") + "split: train")
    write(config, "", k=0)
    assert asked[2:] == [("CogComp/trec", "refs/convert/parquet", "", "train")]


FILMS = """\
dataset: films
path: owner/films
text: [title, body]
label: verdict
label_words: {bad: Bad, 2: Good}
template: |
  Film: {text}
  Verdict: {label_word}
k: 0
"""


def test_labels_are_matched_as_written(tmp_path: Path, write: Write):
    """Numbers, names, and names that are numbers; text of several columns, one of which may be empty."""
    (tmp_path / "films.yaml").write_text(FILMS)
    (tmp_path / "a.jsonl").write_text(
        '{"title": " A ", "body": "", "verdict": "bad"}\n{"title": "B", "body": " b", "verdict": " 2"}\n'
    )
    (tmp_path / "b.jsonl").write_text('{"title": "A", "body": "", "verdict": 2}\n')
    found = [(row["text"], row["ground_truth"]) for row in write(tmp_path / "films.yaml", tmp_path / "a.jsonl")[0]]
    assert found == [("A", "Bad"), ("B b", "Good")]
    assert write(tmp_path / "films.yaml", tmp_path / "b.jsonl")[0][0]["ground_truth"] == "Good"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"title": "a", "verdict": "bad"}', "no column 'body'; found title, verdict ({config}:3)"),
        ('{"title": "a", "body": "b"}', "no column 'verdict'; found title, body ({config}:4)"),
        ('{"title": 7.5, "body": "b", "verdict": 2}', "the title is 7.5, expected a string ({config}:3)"),
        ('{"title": true, "body": "b", "verdict": 2}', "the title is True, expected a string ({config}:3)"),
        ('{"title": ["a"], "body": "b", "verdict": 2}', "the title is ['a'], expected a string ({config}:3)"),
        ('{"title": "a", "body": "b", "verdict": 1}', "verdict 1, expected one of bad, 2 ({config}:5)"),
        ('{"title": "a", "body": "b", "verdict": "Bad"}', "verdict 'Bad', expected one of bad, 2 ({config}:5)"),
        ('{"title": "a", "body": "b", "verdict": 2.5}', "verdict 2.5, expected one of bad, 2 ({config}:5)"),
        ('{"title": "a", "body": "b", "verdict": true}', "verdict True, expected one of bad, 2 ({config}:5)"),
        ('{"title": "a", "body": "b", "verdict": null}', "verdict None, expected one of bad, 2 ({config}:5)"),
        ('{"title": "a", "body": "b", "verdict": {"a": 1}}', "verdict {{'a': 1}}, expected a label; write"),
    ],
)
def test_a_row_that_does_not_fit_names_the_row_and_the_line(row: str, message: str, tmp_path: Path, write: Write):
    config, data = tmp_path / "films.yaml", tmp_path / "test.jsonl"
    config.write_text(FILMS)
    data.write_text(row + "\n")
    with pytest.raises(InputError) as error:
        write(config, data)
    assert str(error.value).startswith(f"{data}: test row 0 (line 1): ")
    assert message.format(config=config) in str(error.value)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    ("more", "path", "message"),
    [
        ("", "/no/such", "/no/such: no such file or folder, and not a hub id (--dataset_path, {config}:2)"),
        ("split: tset\n", "{folder}", "{folder}: no tset split (--dataset_path, {config}:2, {config}:10)"),
        ("", "{folder}", "{folder}: no test split (--dataset_path, {config}:2)"),
    ],
)
def test_a_missing_path_or_split_is_reported_with_its_line(more: str, path: str, message: str, tmp_path: Path, write):
    folder, config = tmp_path / "set", tmp_path / "films.yaml"
    folder.mkdir()
    config.write_text(FILMS.replace("owner/films", path.format(folder=folder)) + more)
    with pytest.raises(InputError) as error:
        write(config, "")
    assert str(error.value) == message.format(folder=folder, config=config)


def test_the_test_split_of_sst2_has_no_labels(tmp_path: Path, write: Write):
    config = tmp_path / "sst2.yaml"
    config.write_text(Path("samples/datasets/sst2.yaml").read_text().replace("validation", "test"))
    with pytest.raises(InputError, match=r"test row 0: label -1, expected one of 0, 1 \(.*sst2\.yaml:7\)"):
        write(config, write_set("sst2", tmp_path / "set"), k=0)


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_the_original_csv_of_dbpedia(quoting: int, tmp_path: Path, write: Write):
    """Without a header: class from 1, title, content. Its prompts are identical to those of the hub's tables."""
    (tmp_path / "csv").mkdir()
    for split in ("train", "test"):
        rows = rows_of("dbpedia_14", split, 60)
        with (tmp_path / "csv" / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            written = [(row["label"] + 1, row["title"], row["content"]) for row in rows]
            csv.writer(file, quoting=quoting).writerows(written)
    prompts, meta = write("samples/datasets/dbpedia_14.yaml", tmp_path / "csv", seed=5)
    others, about = write("samples/datasets/dbpedia_14.yaml", write_set("dbpedia_14", tmp_path / "set"), seed=5)
    assert prompts == others
    assert meta == about | {name: str(tmp_path / "csv") for name in ("dataset_path", "demonstrations_path")}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "error: --config: expected a YAML file, such as samples/datasets/sst2.yaml"),
        (["--config", "x.yaml", "--method", "both"], "error: --method both: expected direct or channel"),
        (["--config", "no/such.yaml"], "error: no/such.yaml: no such file (--config)"),
        (["--config", "README.md"], "error: README.md:"),
        (["--config", "samples/datasets/sst2.yaml", "--k", "-1"], "error: --k -1: expected 0 or more"),
        (["--config", "samples/datasets/sst2.yaml", "--first_label", "3"], "error: --first_label 3: expected 0 or 1"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(flags: list[str], message: str, run_script, root: Path):
    done = run_script("run_preprocess.py", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_the_script(run_script, tmp_path: Path):
    path = tmp_path / "inputs.json"
    flags = ["--config", "samples/datasets/sst2.yaml", "--method", "channel", "--data_path", path]
    done = run_script("run_preprocess.py", *flags, "--dataset_path", write_set("sst2", tmp_path / "set"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"sst2, channel: 60 examples from {tmp_path}/set\n")
    assert len(read_prompts(path, "channel")) == 60


def test_prompts_of_a_file_do_not_replace_the_shipped_ones(root: Path, tmp_path: Path, monkeypatch, capsys):
    """Even with all options at their defaults and the sample set."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").symlink_to(root / "samples")
    before = (root / "samples/inputs_direct_ag_news.json").stat().st_mtime_ns
    preprocess_config(PreprocessConfig("samples/datasets/ag_news.yaml"))
    made = tmp_path / "real/inputs_direct_ag_news.json"
    assert made.read_bytes() == (root / "samples/inputs_direct_ag_news.json").read_bytes()
    assert (root / "samples/inputs_direct_ag_news.json").stat().st_mtime_ns == before
    assert "ag_news_sample, direct: 104 examples from samples/ag_news\n" in capsys.readouterr().out
