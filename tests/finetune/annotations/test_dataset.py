"""Annotated images as a data set: features, split, images, notes, refusals."""

import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value, load_from_disk
from datasets import Image as ImageFeature
from PIL import Image

from finetune import hub
from finetune.annotations.dataset import RECORD, AnnotationsConfig, preprocess_annotations
from preprocess.errors import InputError

NAMES = ["InvNum", "InvDate", "Fourni", "TTC", "TVA", "TT", "Autre"]
REGION = {"box": [10, 20, 30.06, 40], "text": " 42,00 ", "label": 3}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., AnnotationsConfig]:
    """(pages=3, mode="RGB", rows=None, **options) -> options; the images, of 8 x 4 pixels, and the export are there."""

    def make(pages: int = 3, mode: str = "RGB", rows: Any = None, **options: Any) -> AnnotationsConfig:
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        for number in range(pages):
            Image.new("RGB", (8, 4), (number, 100, 200)).convert(mode).save(folder / f"{number}.png", compress_level=0)
        path = tmp_path / "export.json"
        path.write_text(json.dumps([page(number) for number in range(pages)] if rows is None else rows))
        places = {"annotations": str(path), "images": str(folder), "output_dir": str(tmp_path / "made")}
        return AnnotationsConfig(**places | options)

    return make


def page(number: int, *regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"file_name": f"{number}.png", "height": 4, "width": 8, "annotations": list(regions) or [REGION]} | more


def made(config: AnnotationsConfig) -> DatasetDict:
    preprocess_annotations(config)
    return load_from_disk(config.output_dir)


def content(folder: Path) -> dict[str, bytes]:
    """All files of a data set, except those in which `datasets` writes a new fingerprint each time."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "state.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_features_and_rows(make):
    splits = made(make())
    features = {
        "id": Value("string"),
        "image": ImageFeature(decode=True),
        "bboxes": Sequence(Sequence(Value("int64"))),
        "ner_tags": Sequence(ClassLabel(names=NAMES)),
        "tokens": Sequence(Value("string")),
    }
    assert splits["train"].features == splits["test"].features == Features(features)
    rows = [row for split in splits.values() for row in split]
    assert sorted(row["id"] for row in rows) == ["0.png", "1.png", "2.png"]
    for row in rows:
        assert row["image"].getpixel((0, 0)) == (int(row["id"][0]), 100, 200)
        assert (row["bboxes"], row["ner_tags"], row["tokens"]) == ([[100, 200, 301, 400]], [3], ["42,00"])


def test_the_split_is_that_of_the_original(make):
    """134 pages: 124 and 10, as drawn by `datasets` with the original's seed."""
    config = make(pages=134)
    splits = made(config)
    assert (len(splits["train"]), len(splits["test"])) == (124, 10)
    numbers = Dataset.from_dict({"id": [f"{number}.png" for number in range(134)]})
    drawn = numbers.train_test_split(test_size=0.07, shuffle=True, seed=10)
    assert {name: rows["id"] for name, rows in splits.items()} == {name: rows["id"] for name, rows in drawn.items()}
    kept = made(replace(config, shuffle=False, overwrite=True))
    assert list(kept["test"]["id"]) == [f"{number}.png" for number in range(124, 134)]


def test_all_pages_to_train_on(make):
    splits = made(make(pages=1, test_size=0))
    assert list(splits) == ["train"]
    assert len(splits["train"]) == 1


def test_the_same_command_twice(make, tmp_path):
    preprocess_annotations(make(mode="P"))
    first = content(tmp_path / "made")
    preprocess_annotations(make(mode="P", overwrite=True))
    assert content(tmp_path / "made") == first
    assert "train/data-00000-of-00001.arrow" in first


@pytest.mark.parametrize("mode", ["P", "L", "1", "LA", "RGBA", "CMYK", "RGB"])
def test_images_are_rgb(make, mode, tmp_path):
    """RGB images are stored as their original files; temporary copies of others are removed."""
    config = make(mode="RGB" if mode == "CMYK" else mode, test_size=0)
    expected = np.asarray(Image.open(tmp_path / "images/1.png").convert("RGB"))
    if mode == "CMYK":
        Image.open(tmp_path / "images/1.png").convert("CMYK").save(tmp_path / "images/1.png", "TIFF")
    splits = made(config)
    image = splits["train"][1]["image"]
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int) - expected).max() <= (1 if mode == "CMYK" else 0)
    stored = splits["train"].cast_column("image", ImageFeature(decode=False))[1]["image"]["bytes"]
    assert (stored == (tmp_path / "images/1.png").read_bytes()) == (mode == "RGB")
    assert {path.name for path in tmp_path.iterdir()} == {"export.json", "images", "made"}


def test_images_are_in_the_data_set(make, tmp_path, monkeypatch):
    """Not only their paths, even if the script runs in their folder."""
    config = make(images="")
    for path in (tmp_path / "images").iterdir():
        path.rename(tmp_path / path.name)
    monkeypatch.chdir(tmp_path)
    preprocess_annotations(replace(config, annotations="export.json", output_dir="made"))
    for path in tmp_path.glob("*.png"):
        path.unlink()
    assert [row["image"].size for row in load_from_disk("made")["train"]] == [(8, 4), (8, 4)]


def test_images_in_folders_have_ids_of_their_own(make, tmp_path):
    config = make(rows=[page(0, file_name="a/0.png"), page(0, file_name="b/0.png")], test_size=0)
    for name in "ab":
        (tmp_path / "images" / name).mkdir()
        (tmp_path / "images" / name / "0.png").write_bytes((tmp_path / "images/0.png").read_bytes())
    assert list(made(config)["train"]["id"]) == ["a/0.png", "b/0.png"]


def test_real_pages(data, tmp_path):
    """Palette images become RGB with the same colours."""
    folder = data / "textra"
    config = AnnotationsConfig(str(folder / "Exemple_Training.json"), output_dir=str(tmp_path / "made"), test_size=0)
    first, second = made(config)["train"]
    assert (first["id"], second["id"]) == ("Ex1.png", "Ex2.png")
    assert first["image"].size == (875, 850)
    assert Image.open(folder / "Ex1.png").mode == "P"
    assert np.array_equal(np.asarray(first["image"]), np.asarray(Image.open(folder / "Ex1.png").convert("RGB")))
    assert Counter(first["ner_tags"] + second["ner_tags"])[6] == 55


def test_the_screen(make, capsys):
    """Counts of each split by class; left-out and repaired items, each with the first place."""
    bare = {"box": [1, 2, 3, 104], "text": "x"}
    rows = [page(0), page(1, REGION, bare, height=5), page(2, REGION | {"text": ""}), page(3, REGION | {"label": "TT"})]
    rows.append(page(4, bare))
    config = make(pages=5, rows=rows, test_size=0.4, shuffle=False, unlabelled="Autre")
    preprocess_annotations(config)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:5] == [["train", "test"], ["pages", "2", "2"], ["InvNum", "0", "0"], ["InvDate", "0", "0"]]
    assert lines[6] == ["TTC", "2", "0"]
    assert lines[8:11] == [["TT", "0", "1"], ["Autre", "1", "1"], ["regions", "3", "2"]]
    notes = [" ".join(line) for line in lines[11:-1]]
    assert notes == [
        f"2 boxes that exceed the page, clipped to it; the first: {config.annotations}: row 1: region 1",
        f"2 regions without a label, read as Autre; the first: {config.annotations}: row 1: region 1",
        f"1 regions without text, left out; the first: {config.annotations}: row 2: region 0",
        f"1 pages without a region, left out; the first: {config.annotations}: row 2: 2.png",
        f"1 images with another size than stated; the first: {config.annotations}: row 1: 8 x 4",
        "use --words for a folder of words from OCR, which become the text of the regions that contain them",
    ]
    assert lines[-1] == ["written", "to", config.output_dir]


def test_notes_are_printed_before_an_error(make, capsys):
    """Notes on left-out items, such as regions without text, explain the error."""
    rows = [page(number, REGION | {"text": ""}, {"box": [1, 2, 3, 104], "text": "x"}) for number in range(3)]
    with pytest.raises(InputError, match="no page with a region: 3 regions have no text; use --words"):
        preprocess_annotations(make(rows=rows))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("; the first")[0] for line in lines] == [
        "3 boxes that exceed the page, clipped to it",
        "3 regions without text, left out",
        "3 regions without a label, left out (see --unlabelled)",
        "3 pages without a region, left out",
        "use --words for a folder of words from OCR, which become the text of the regions that contain them",
    ]


def test_texts_from_ocr_words(make, tmp_path):
    """In pixels of the displayed page: here 4 x 8."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    config = make(
        rows=[page(number, REGION | {"text": "", "box": [0, 50, 100, 100]}) for number in range(3)], test_size=0
    )
    (tmp_path / "words").mkdir()
    for number in range(3):
        path = tmp_path / f"images/{number}.png"
        Image.open(path).save(path, exif=exif)
        words = [
            {"text": "above", "box": [0, 0, 4, 3]},
            {"text": "42", "box": [0, 5, 2, 6]},
            {"text": ",00", "box": [2, 5, 4, 6]},
        ]
        (tmp_path / f"words/{number}.json").write_text(json.dumps(words))
    rows = made(replace(config, words=str(tmp_path / "words")))["train"]
    assert rows["tokens"] == [["42 ,00"]] * 3
    assert {image.size for image in rows["image"]} == {(4, 8)}
    stored = rows.cast_column("image", ImageFeature(decode=False))[0]["image"]["bytes"]
    assert not Image.open(io.BytesIO(stored)).getexif().get(0x0112)
    with pytest.raises(InputError, match=r"nowhere: no such folder \(--words\)"):
        preprocess_annotations(replace(config, words="nowhere", overwrite=True))


def test_unknown_units(make):
    for options, message in (
        ({"box_unit": "inches"}, "--box_unit inches: expected pixels"),
        ({"words_unit": "inches", "words": "x"}, "--words_unit inches: expected pixels"),
        ({"words_unit": "percent"}, "--words_unit percent: expected --words"),
    ):
        with pytest.raises(InputError, match=message):
            make(**options)


class Hub:
    """A stand-in for HfApi with one repository."""

    def __init__(self) -> None:
        self.made: list[tuple] = []
        self.private = False

    def create_repo(self, name: str, repo_type: str, private: bool | None, exist_ok: bool) -> None:
        self.made.append((name, repo_type, private, exist_ok))

    def repo_info(self, name: str, repo_type: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    monkeypatch.setattr(hub, "HfApi", lambda: made)
    return made


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The data that is pushed to the hub, which is never reached."""
    calls: list[tuple] = []
    monkeypatch.setattr(DatasetDict, "push_to_hub", lambda *arguments: calls.append(arguments))
    return calls


def test_nothing_is_pushed_unasked(make, stand_in, pushed):
    preprocess_annotations(make())
    assert pushed == stand_in.made == []


@pytest.mark.parametrize("private", [True, False])
def test_what_is_pushed(make, stand_in, pushed, private, capsys):
    """The data set as it was written; by default, its visibility is the hub's default."""
    config = make(push_to_hub="me/invoices", private=private)
    stand_in.private = private
    preprocess_annotations(config)
    assert stand_in.made == [("me/invoices", "dataset", True if private else None, True)]
    ((splits, name),) = pushed
    assert name == "me/invoices"
    written = load_from_disk(config.output_dir)
    assert {split: rows.to_list() for split, rows in splits.items()} == {
        split: rows.to_list() for split, rows in written.items()
    }
    assert capsys.readouterr().out.endswith("made: uploaded to the hub as me/invoices\n")


def test_nothing_private_is_pushed_to_a_public_repository(make, stand_in, pushed):
    config = make(push_to_hub="me/invoices", private=True)
    with pytest.raises(InputError, match=r"^--push_to_hub me/invoices: not uploaded: --private: .*; it is in .*made$"):
        preprocess_annotations(config)
    assert pushed == []
    assert len(load_from_disk(config.output_dir)["train"]) == 2


def test_a_hub_that_fails(make, stand_in, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("401 Unauthorized\nsign in")

    monkeypatch.setattr(DatasetDict, "push_to_hub", fail)
    config = make(push_to_hub="me/invoices")
    message = r"^--push_to_hub me/invoices: not uploaded: 401 Unauthorized; it is in .*made$"
    with pytest.raises(InputError, match=message):
        preprocess_annotations(config)
    assert len(load_from_disk(config.output_dir)["train"]) == 2


def test_an_existing_data_set(make, tmp_path, capsys):
    """It is replaced on request, and only as a whole: a failed run does not change it."""
    config = make()
    preprocess_annotations(config)
    before = content(tmp_path / "made")
    capsys.readouterr()
    preprocess_annotations(config)
    assert "made: already finished with the same inputs and options; --overwrite repeats it" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"made: contains another data set; --overwrite replaces it \(--output_dir\)"):
        preprocess_annotations(replace(config, seed=3))
    record = tmp_path / "made" / RECORD
    record.rename(tmp_path / RECORD)
    with pytest.raises(InputError, match=r"made: already contains a data set; --overwrite replaces it"):
        preprocess_annotations(config)
    (tmp_path / RECORD).rename(record)
    broken = make(pages=4, overwrite=True)
    (tmp_path / "images/3.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"3\.png"):
        preprocess_annotations(broken)
    assert content(tmp_path / "made") == before
    assert len(made(make(pages=5, overwrite=True))["train"]) == 4
    (tmp_path / "made/thesis.txt").touch()
    with pytest.raises(InputError, match="made: contains files other than a data set"):
        preprocess_annotations(make(overwrite=True))
    assert {path.name for path in tmp_path.iterdir()} == {"export.json", "images", "made"}


def test_an_empty_folder_is_written_to(make, tmp_path):
    (tmp_path / "made").mkdir()
    assert len(made(make())["train"]) == 2


def refused(config: AnnotationsConfig, message: str) -> None:
    """The run ends with one line and writes nothing."""
    with pytest.raises(InputError, match=message) as caught:
        preprocess_annotations(config)
    assert "\n" not in str(caught.value)
    assert not Path(config.output_dir).is_dir()


def test_refused_places(make, tmp_path):
    refused(make(annotations=str(tmp_path / "none.json")), r"none\.json: no such file \(--annotations\)")
    refused(make(images=str(tmp_path / "none")), r"none: no such folder \(--images\)")
    refused(make(output_dir=str(tmp_path / "export.json/in")), r"in: cannot be written: .*\(--output_dir\)")
    with pytest.raises(InputError, match=r"export\.json: is a file, expected a folder \(--output_dir\)"):
        preprocess_annotations(make(output_dir=str(tmp_path / "export.json")))


def test_refused_images(make, tmp_path):
    rows = [page(number) for number in (0, 7, 8)]
    refused(make(rows=rows), r"row 1: no image '7\.png' in .*images; 2 of 3 are missing \(--images\)")
    refused(make(rows=[page(0), page(1), page(0)]), r"row 2: 0\.png is already the image of .* row 0")
    config = make()
    whole = (tmp_path / "images/1.png").read_bytes()
    for damaged in (b"", b"no image", whole[: len(whole) // 2]):
        (tmp_path / "images/1.png").write_bytes(damaged)
        refused(config, r"row 1: .*1\.png")


def test_pages_without_regions_need_no_image(make):
    assert len(made(make(rows=[page(0), page(1), page(7, annotations=[])]))["train"]) == 1


@pytest.mark.parametrize("pages, test_size", [(1, 0.07), (2, 0.9)])
def test_no_page_to_train_on(make, pages, test_size):
    refused(make(pages=pages, test_size=test_size), f"--test_size {test_size}: leaves no train page of {pages} pages")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labels": "TTC"}, "--labels TTC: expected at least two"),
        ({"labels": "TTC,TT, TTC"}, "--labels TTC,TT, TTC: expected"),
        ({"labels": "TTC,,TT"}, "--labels TTC,,TT: expected"),
        ({"unlabelled": "Other"}, "--unlabelled Other: expected one of InvNum, .*, Autre"),
        ({"test_size": 1.0}, "--test_size 1.0"),
        ({"test_size": -0.1}, "--test_size -0.1"),
        ({"test_size": float("nan")}, "--test_size nan"),
        ({"seed": -1}, "--seed -1"),
        ({"push_to_hub": "invoices"}, "--push_to_hub invoices: expected USER/NAME"),
        ({"private": True}, "--private: expected only with --push_to_hub"),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(InputError, match=message):
        AnnotationsConfig(**{"annotations": "export.json", "output_dir": "made"} | options)


@pytest.mark.parametrize("flag", ["annotations", "output_dir"])
def test_needed_options(make, flag, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # which is what an empty path means
    with pytest.raises(InputError, match=rf"^--{flag}: expected the f\w+ to \w+$"):
        preprocess_annotations(replace(make(), **{flag: ""}))
    assert {path.name for path in tmp_path.iterdir()} == {"export.json", "images"}


def test_the_script(make, run_script, tmp_path):
    """User's class names; user errors are one line and status 2."""
    config = make(rows=[page(0, REGION | {"label": "b"}), page(1, REGION | {"label": 0})])
    flags = ["--annotations", config.annotations, "--images", config.images, "--labels", "a, b"]
    done = run_script("run_preprocess_annotations.py", *flags, "--output_dir", config.output_dir)
    assert done.returncode == 0, done.stderr
    rows = [row for split in load_from_disk(config.output_dir).values() for row in split]
    assert {row["id"]: row["ner_tags"] for row in rows} == {"0.png": [1], "1.png": [0]}
    done = run_script("run_preprocess_annotations.py", *flags, "--output_dir", config.output_dir, "--seed", 3)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--overwrite" in done.stderr
