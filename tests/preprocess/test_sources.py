"""Sources of rows: the hub, a folder, a file; and messages for invalid ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from preprocess import ag_news
from preprocess.ag_news import AgNewsConfig, preprocess_direct
from preprocess.build import ExampleOptions, PromptOptions
from preprocess.doclaynet import DocLayNetConfig
from preprocess.doclaynet import preprocess_direct as preprocess_pages
from preprocess.errors import InputError
from preprocess.sources import find_table, load_rows

LABELS = datasets.ClassLabel(names=["World", "Sports", "Business", "Sci/Tech"])
FEATURES = datasets.Features({"text": datasets.Value("string"), "label": LABELS})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """A hub of parquet files in the layout of fancyzhx/ag_news, which records requests. The rest is `datasets`."""
    for split in ("train", "test"):
        rows = [{"text": f"{split} {number}", "label": number % 4} for number in range(12)]
        table = datasets.Dataset.from_list(rows, features=FEATURES)
        table.to_parquet(tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet")
    asked: list[tuple[str, dict[str, Any]]] = []
    load = datasets.load_dataset

    def load_from_here(path: str, **options: Any) -> Any:
        asked.append((path, options))
        return load(str(tmp_path / "hub"), **options)

    monkeypatch.setattr(datasets, "load_dataset", load_from_here)
    return asked


@pytest.mark.parametrize("options", [{"sample": False}, {"dataset_path": "fancyzhx/ag_news"}])
def test_the_hub_is_asked_for_ag_news(options: dict[str, Any], hub: list, tmp_path: Path, capsys):
    preprocess_direct(AgNewsConfig(prompts=PromptOptions(str(tmp_path / "x.json"), examples=ExampleOptions(**options))))
    assert hub == [
        ("fancyzhx/ag_news", {"split": split, "streaming": True, "trust_remote_code": False})
        for split in ("test", "train")
    ]
    assert "ag_news, direct: 12 examples from fancyzhx/ag_news\n" in capsys.readouterr().out


def test_data_sets_with_scripts_are_read_as_parquet(hub: list, monkeypatch: pytest.MonkeyPatch):
    """The hub stores it on a separate branch; the script is not run. A given revision is used, or refused."""
    load = datasets.load_dataset

    def refuse(path: str, **options: Any) -> Any:
        if options.pop("revision", "main") == "main":
            raise RuntimeError("Dataset scripts are no longer supported, but found x.py")
        return load(path, **options)

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    rows = find_table("owner/name", "test").records()
    assert [row["text"] for _, row in rows][:2] == ["test 0", "test 1"]
    with pytest.raises(InputError, match="Dataset scripts are no longer supported"):
        list(find_table("owner/name", "test", revision="main").records())


def test_the_hub_is_asked_for_the_pages_of_doclaynet(hub: list, tmp_path: Path):
    """Its rows are news here, and the error names the row; only the request is tested."""
    options = PromptOptions(str(tmp_path / "x.json"), examples=ExampleOptions(sample=False))
    with pytest.raises(InputError, match=r"docling-project/DocLayNet-v1\.2: test row 0: not a DocLayNet page"):
        preprocess_pages(DocLayNetConfig(prompts=options))
    assert hub == [("docling-project/DocLayNet-v1.2", {"split": "test", "streaming": True, "trust_remote_code": False})]


def test_a_failure_while_rows_are_streamed_is_one_line(monkeypatch: pytest.MonkeyPatch):
    def rows() -> Iterator[dict[str, Any]]:
        yield {"text": "a"}
        raise ConnectionError("the network is gone\nand more")

    stream = datasets.IterableDataset.from_generator(rows)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: stream)
    found = load_rows("fancyzhx/ag_news", "test")
    assert next(found) == {"text": "a"}
    with pytest.raises(
        InputError, match=r"^fancyzhx/ag_news: .*cannot read it: the network is gone \(--dataset_path\)$"
    ):
        next(found)


@pytest.mark.parametrize("streaming", [True, False])
def test_images_are_not_decoded(streaming: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Decoding would take most of the time, and needs Pillow, which is not required. A damaged image is accepted."""
    features = datasets.Features({"image": datasets.Image(), "page": datasets.Value("int64")})
    table = datasets.Dataset.from_list([{"image": {"bytes": b"no image", "path": None}, "page": 3}], features=features)
    table.to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    load, here = datasets.load_dataset, str(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda path, **how: load(path.replace("owner/hub", here), **how))
    place = "owner/hub" if streaming else here
    assert list(load_rows(place, "test")) == [{"page": 3}]
    assert list(load_rows(place, "test", images=True)) == [{"image": {"bytes": b"no image", "path": None}, "page": 3}]


TAGGED = datasets.Features(
    {
        "image": datasets.Image(),
        "tags": datasets.List(datasets.ClassLabel(names=["A", "B"])),
        "text": datasets.Value("string"),
    }
)


def tagged(text: str) -> datasets.Dataset:
    row = {"image": {"bytes": b"no image", "path": None}, "tags": [1, 0], "text": text}
    return datasets.Dataset.from_list([row], features=TAGGED)


def test_data_sets_saved_to_disk(tmp_path: Path):
    """Its JSON files, which describe splits, are not rows. Classes keep their names, also in parquet."""
    saved = tmp_path / "saved"
    datasets.DatasetDict({"train": tagged("a"), "test": tagged("b")}).save_to_disk(saved)
    assert list(load_rows(str(saved), "test")) == [{"tags": [1, 0], "text": "b"}]
    assert [row["image"]["bytes"] for row in load_rows(str(saved), "train", images=True)] == [b"no image"]
    assert load_rows(str(saved), "validation") is None
    tagged("c").to_parquet(tmp_path / "parquet" / "test.parquet")
    for folder in (saved, tmp_path / "parquet"):
        table = find_table(str(folder), "test")
        assert table.class_names("tags") == ["A", "B"]
        assert table.class_names("text") is table.class_names("none") is None


def test_a_table_that_was_saved_alone_is_the_requested_split(tmp_path: Path):
    """A folder of `Dataset.save_to_disk`, or folders of such, with or without dataset_dict.json."""
    tagged("a").save_to_disk(tmp_path / "alone")
    assert list(load_rows(str(tmp_path / "alone"), "test")) == [{"tags": [1, 0], "text": "a"}]
    assert load_rows(str(tmp_path / "alone"), "train") is None
    for split in ("train", "test"):
        tagged(split).save_to_disk(tmp_path / "two[1]" / split)
    assert list(load_rows(str(tmp_path / "two[1]"), "train")) == [{"tags": [1, 0], "text": "train"}]
    assert load_rows(str(tmp_path / "two[1]"), "dev") is None


def test_names_of_classes_inside_a_column(tmp_path: Path):
    features = datasets.Features({"label": {"name": LABELS, "id": datasets.Value("int8")}, "a.b": LABELS})
    table = datasets.Dataset.from_list([{"label": {"name": 1, "id": 3}, "a.b": 2}], features=features)
    table.to_parquet(tmp_path / "test.parquet")
    table.save_to_disk(tmp_path / "saved")
    for place in (tmp_path / "test.parquet", tmp_path / "saved"):
        found = find_table(str(place), "test")
        assert found.class_names("label.name") == found.class_names("a.b") == LABELS.names
        assert found.class_names("label.id") is found.class_names("label") is found.class_names("label.x.y") is None
        assert list(found.records(["label"])) == [("", {"label": {"name": 1, "id": 3}})]


def test_csv_of_the_hub_is_read_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its card may declare types; without one, `datasets` would read 01 as a number and NA as null."""
    (tmp_path / "test.csv").write_text("text,label\nNA,01\n2020-01-01,1\n")
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda path, **how: load(str(tmp_path), **how))
    rows = list(load_rows("owner/hub", "test"))
    assert rows == [{"text": "NA", "label": "01"}, {"text": "2020-01-01", "label": "1"}]


def test_line_numbers_name_their_file(tmp_path: Path):
    (tmp_path / "test").mkdir()
    for name in ("b", "a"):
        (tmp_path / "test" / f"{name}.jsonl").write_text(f'\n{{"text": "{name}"}}\n')
    found = list(find_table(str(tmp_path), "test").records())
    assert found == [("a.jsonl, line 2", {"text": "a"}), ("b.jsonl, line 2", {"text": "b"})]


def test_files_with_and_without_a_header_cannot_be_combined(tmp_path: Path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.csv").write_text("1,a,b\n")
    (tmp_path / "test" / "b.csv").write_text("class,title,description\n1,a,b\n")
    with pytest.raises(InputError, match="some of its files have a header, others have none"):
        ag_news.read_split(str(tmp_path), "test")


def test_a_configuration_is_a_folder_if_there_is_one(tmp_path: Path):
    for name in ("large", "small"):
        (tmp_path / name / "test").mkdir(parents=True)
        (tmp_path / name / "test" / "0000.jsonl").write_text(f'{{"text": "{name}"}}\n')
    assert [row for _, row in find_table(str(tmp_path), "test", name="small").records()] == [{"text": "small"}]
    with pytest.raises(InputError, match="several files match: large/test"):
        find_table(str(tmp_path), "test")


def test_damaged_saved_data_sets_are_named(tmp_path: Path):
    datasets.DatasetDict({"test": tagged("b")}).save_to_disk(tmp_path)
    (tmp_path / "test" / "data-00000-of-00001.arrow").write_bytes(b"no table")
    with pytest.raises(InputError, match=rf"^{tmp_path}/test: `datasets` cannot read it: .* \(--dataset_path\)$"):
        list(load_rows(str(tmp_path), "test"))


def test_without_a_network_the_hub_ends_in_one_line(run_script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the network's own time-outs take half a minute
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    done = run_script("run_preprocess_direct_ag_news.py", "--sample=False", "--data_path", tmp_path / "out" / "x.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: fancyzhx/ag_news: no such folder; on the hub: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_one_file_is_the_requested_split(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    path = str(tmp_path / "rows.jsonl")
    assert load_rows(path, "validation") is None
    assert list(load_rows(path, "validation", lone="validation")) == [{"text": "a"}]
    assert load_rows(path, "train", lone="validation") is None


@pytest.mark.parametrize(
    ("dataset_path", "message"),
    [
        ("/no/such/folder", "/no/such/folder: no such file or folder, and not a hub id (--dataset_path)"),
        ("nosuch/test.csv", "nosuch/test.csv: no such file or folder, and not a hub id (--dataset_path)"),
        ("../nosuch", "../nosuch: no such file or folder, and not a hub id (--dataset_path)"),
        ("a/b/c", "a/b/c: no such file or folder, and not a hub id (--dataset_path)"),
        (
            "README.md",
            "README.md: expected .csv, .tsv, .json, .jsonl, .parquet, .gz of these texts, or a folder; found '.md' "
            "(--dataset_path)",
        ),
        (".", ".: no test split (--dataset_path)"),
    ],
)
def test_an_invalid_data_set_is_named(dataset_path: str, message: str, tmp_path: Path, monkeypatch, write_ag_news):
    (tmp_path / "README.md").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        write_ag_news(dataset_path)
    assert str(error.value) == message


def test_demonstrations_that_are_missing_are_named_by_their_flag(tmp_path: Path, write_ag_news):
    with pytest.raises(InputError, match=r"/no/such: no such file or folder, .* \(--demonstrations\)"):
        write_ag_news(demonstrations="/no/such")


def test_an_output_below_a_file_is_refused_before_anything_is_read(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written: Not a directory \(--data_path\)"):
        ag_news.preprocess(
            PromptOptions(str(tmp_path / "file" / "x.json"), examples=ExampleOptions("/no/such/folder")), "direct"
        )


@pytest.mark.parametrize("name", ["csv", "pandas", "imagefolder", "text"])
def test_names_of_file_formats_are_refused(name: str, tmp_path: Path, monkeypatch):
    """`datasets` would read files in the working directory."""
    (tmp_path / "test.csv").write_text("text,label\na,0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^{name}: is a file format, expected a file, .*\(--x\)$"):
        next(load_rows(name, "test", "--x"))


def test_datasets_prints_nothing_beside_our_line(tmp_path: Path, monkeypatch, caplog, capfd):
    (tmp_path / "test.jsonl").write_text('{"text": "a"}\n{"text": \n')
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda path, **how: load(str(tmp_path), **how))
    with pytest.raises(InputError, match=r"^owner/hub: no such folder; on the hub: `datasets` cannot read it: "):
        list(load_rows("owner/hub", "test"))
    assert caplog.records == []
    assert capfd.readouterr().err == ""
