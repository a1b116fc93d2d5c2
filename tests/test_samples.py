"""Every file in samples/ is reproduced by the scripts, and is well-formed."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from datasets import load_from_disk
from PIL import Image

from finetune.annotations.dataset import LABELS, AnnotationsConfig, preprocess_annotations
from finetune.annotations.labelled_pages import ExportReading
from finetune.annotations.labelled_pages import read_pages as read_export
from finetune.annotations.region_words import words_in_regions
from preprocess.ag_news import LABEL_WORDS as NEWS_LABEL_WORDS
from preprocess.blocks import LABEL_WORDS as BLOCK_LABEL_WORDS
from preprocess.files import meta_path
from preprocess.pages import read_pages
from preprocess.prompts import read_prompts

DATASETS = {"ag_news": NEWS_LABEL_WORDS, "doclaynet": BLOCK_LABEL_WORDS}
EVALUATIONS = {"direct": "direct", "direct_calibrate": "direct", "channel": "channel", "generate": "direct"}
SOURCES = ["ag_news/*.csv", "doclaynet/*/*.json", "datasets/*.yaml", "invoices/export.json", "demo.sh", "draw.py"]
AMOUNT = re.compile(r"(\$ )?\d[\d .,]*[.,]\d\d( EUR)?")
INK = 180  # what is darker is text: areas and their frames are lighter
LARGEST = 15 * 1024  # bytes of an image


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def invoice_names(root: Path) -> list[str]:
    """The file names of the invoices' images, without Label Studio's prefix of uploads."""
    tasks = load(root / "samples/invoices/export.json")
    return [re.sub(r".*/[0-9a-f]{8}-", "", task["data"]["image"]) for task in tasks]


@pytest.fixture(scope="module")
def invoices(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of the converted export: id, image, tokens, bboxes, ner_tags; and labels, their names."""
    folder, export = str(tmp_path_factory.mktemp("invoices") / "made"), root / "samples/invoices/export.json"
    config = AnnotationsConfig(str(export), str(export.parent / "images"), output_dir=folder, test_size=0)
    preprocess_annotations(config)
    return [row | {"labels": [config.names[tag] for tag in row["ner_tags"]]} for row in load_from_disk(folder)["train"]]


def test_no_other_file(root: Path) -> None:
    made = {f"inputs_{method}_{dataset}" for method in ("direct", "channel") for dataset in DATASETS}
    made |= {f"outputs_{method}_{dataset}" for method in EVALUATIONS for dataset in DATASETS}
    expected = {root / "samples" / f"{name}{end}" for name in made for end in (".json", ".meta.json")}
    expected |= {path for pattern in SOURCES for path in (root / "samples").glob(pattern)}
    expected |= {path.with_suffix(".png") for path in (root / "samples/doclaynet").glob("*/*.json")}
    expected |= {root / "samples/invoices/images" / name for name in invoice_names(root)}
    expected |= {root / "samples/invoices/words" / f"{Path(name).stem}.json" for name in invoice_names(root)}
    assert {path for path in (root / "samples").rglob("*") if path.is_file()} == expected


@pytest.mark.parametrize("split", ["train", "test"])
def test_news_have_four_classes_and_no_repetition(root: Path, split: str) -> None:
    with (root / f"samples/ag_news/{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert all(len(row) == 3 and all(field == field.strip() != "" for field in row) for row in rows)
    assert set(Counter(row[0] for row in rows).values()) == {26 if split == "test" else 12}
    assert len({tuple(row[1:]) for row in rows}) == len(rows)


def test_pages_have_eleven_classes(root: Path) -> None:
    texts = {}
    for split, least in (("train", 5), ("test", 5)):
        blocks = [block for page in read_pages(str(root / "samples/doclaynet"), split) for block in page.blocks]
        counts = Counter(block.label_word for block in blocks if block.text)
        assert min(counts[word] for word in BLOCK_LABEL_WORDS) >= least
        assert len({block.id for block in blocks}) == len(blocks)
        texts[split] = {block.text for block in blocks if block.text}
    assert not texts["train"] & texts["test"]


def corners(box: Sequence[float]) -> tuple[float, ...]:
    x, y, width, height = box
    return x, y, x + width, y + height


def inside(box: Sequence[float], shape: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of pixels that a box in 0..1000 covers."""
    (top, bottom), (left, right) = (
        (floor(low * side / 1000), ceil(high * side / 1000))
        for low, high, side in ((box[1], box[3], shape[0]), (box[0], box[2], shape[1]))
    )
    return slice(top, bottom), slice(left, right)


def assert_drawn(pixels: np.ndarray, texts: Iterable[Sequence[float]], areas: Iterable[Sequence[float]]) -> None:
    """Each text box contains ink, and all pixels outside of boxes are white."""
    paper = np.ones(pixels.shape, bool)
    for box in texts:
        assert pixels[inside(box, pixels.shape)].min() < INK, box
        paper[inside(box, pixels.shape)] = False
    for box in areas:
        paper[inside(box, pixels.shape)] = False
    assert paper.mean() > 0.2
    assert np.argwhere(paper & (pixels < 255)).tolist() == []


@pytest.mark.parametrize("split", ["train", "test"])
def test_pages_are_drawn_as_they_are_labelled(root: Path, split: str) -> None:
    """Each line of text is in its own box."""
    for page in read_pages(str(root / "samples/doclaynet"), split, images=True):
        row, image = load(Path(page.place)), Image.open(page.image)
        assert page.image == Path(page.place).with_suffix(".png")
        assert image.width * row["coco_height"] == image.height * row["coco_width"]
        assert (image.format, image.mode) == ("PNG", "L")
        assert page.image.stat().st_size <= LARGEST
        scales = (1000 / row["coco_width"], 1000 / row["coco_height"]) * 2
        cells = zip(row["bboxes_line"], row["texts"], strict=True)
        lines = [np.multiply(corners(box), scales) for box, text in cells if text.strip()]
        blocks = [np.multiply(corners(box), scales) for box in row["bboxes_block"]]
        assert_drawn(np.asarray(image), lines, blocks)


def test_invoices_are_drawn_as_they_are_labelled(root: Path, invoices: list[dict[str, Any]]) -> None:
    tasks = load(root / "samples/invoices/export.json")
    for row, task, name in zip(invoices, tasks, invoice_names(root), strict=True):
        file, result = root / "samples/invoices/images" / name, task["annotations"][0]["result"]
        assert row["id"] == name
        assert file.stat().st_size <= LARGEST
        with Image.open(file) as image:
            assert (image.format, image.mode) == ("PNG", "L")
            assert {(each["original_width"], each["original_height"]) for each in result} == {image.size}
            areas = np.multiply([corners(rule[:4]) for rule in task["data"]["rules"]], 10)
            assert_drawn(np.asarray(image), row["bboxes"], areas)


def cents(amount: str) -> int:
    return int(re.sub(r"\D", "", amount))


def test_invoices_have_consistent_labels(invoices: list[dict[str, Any]]) -> None:
    """Articles and taxes add up to the total, and several taxes to their sum, which is then printed."""
    assert len(invoices) == 6
    counts = Counter(label for row in invoices for label in row["labels"])
    assert min(counts[label] for label in LABELS.split(",")) >= 2
    for row in invoices:
        texts: dict[str, list[str]] = {label: [] for label in LABELS.split(",")}
        for token, label in zip(row["tokens"], row["labels"], strict=True):
            texts[label].append(token)
        assert 10 <= len(row["tokens"]) <= 20
        assert all(token.isascii() for token in row["tokens"])  # what the font has no letter for is drawn as another
        assert len(texts["InvNum"]) == len(texts["InvDate"]) == len(texts["TTC"]) == 1
        assert re.fullmatch(r"[A-Z\d /-]*\d[A-Z\d /-]*", texts["InvNum"][0])
        assert re.search(r"\b(20[12]\d)\b", texts["InvDate"][0])
        assert texts["Fourni"]
        assert not any(re.search(r"\d", text) for text in texts["Fourni"])
        amounts = {label: [cents(text) for text in found if AMOUNT.fullmatch(text)] for label, found in texts.items()}
        assert all(len(amounts[label]) == len(texts[label]) for label in ("TTC", "TVA", "TT"))
        assert amounts["TTC"] == [sum(amounts["Autre"]) + sum(amounts["TVA"])]
        assert amounts["TT"] == ([sum(amounts["TVA"])] if len(amounts["TVA"]) > 1 else [])
    for label in ("InvNum", "Fourni", "TTC"):
        named = [
            tuple(text for text, name in zip(row["tokens"], row["labels"], strict=True) if name == label)
            for row in invoices
        ]
        assert len(set(named)) == len(invoices)


def test_nothing_of_the_export_is_left_out_or_repaired(root: Path) -> None:
    reading = ExportReading(LABELS.split(","))
    export = root / "samples/invoices/export.json"
    pages = read_export(str(export), reading)
    assert reading.notes == {}
    regions = [{result["id"] for result in task["annotations"][0]["result"]} for task in load(export)]
    assert [len(page.tokens) for page in pages] == [len(ids) for ids in regions]


def test_words_of_invoices_are_those_of_their_regions(root: Path, invoices: list[dict[str, Any]]) -> None:
    """Each word is inside its region, and is part of the region's text."""
    for row in invoices:
        words = load(root / "samples/invoices/words" / f"{Path(row['id']).stem}.json")
        width, height = row["image"].size
        regions = [[v * s / 1000 for v, s in zip(b, (width, height) * 2, strict=True)] for b in row["bboxes"]]
        found = words_in_regions(regions, [(word["text"], word["box"]) for word in words])
        assert found == [" ".join(token.split()) for token in row["tokens"]]
        assert len(words) == sum(len(token.split()) for token in row["tokens"])
        assert len({tuple(word["box"]) for word in words}) == len(words)


def test_drawing_again_gives_the_same_images(root: Path, tmp_path: Path) -> None:
    """With the command, in a copy of the sources."""
    pinned = re.search(r"^pillow==(.+)$", (root / "requirements-finetune.txt").read_text(), re.MULTILINE)[1]
    if PIL.__version__ != pinned:
        pytest.skip(f"needs Pillow {pinned}, whose letters and files the images are; found {PIL.__version__}")
    shutil.copytree(root / "samples", tmp_path / "samples", ignore=shutil.ignore_patterns("*.png", "words", "*puts_*"))
    for package in ("preprocess", "llama"):  # the second for its templates
        (tmp_path / package).symlink_to(root / package)
    command = [sys.executable, "samples/draw.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    made, shipped = (
        {
            path.relative_to(folder): path.read_bytes()
            for pattern in ("*.png", "words/*.json")
            for path in (folder / "samples").rglob(pattern)
        }
        for folder in (tmp_path, root)
    )
    assert len(made) == 22 + 6 + 6
    assert made == shipped


def strings(content: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for inner in content.values() if isinstance(content, dict) else content:
            yield from strings(inner)


def test_no_text_of_third_parties(root: Path, data: Path, invoices: list[dict[str, Any]]) -> None:
    """No line of the available data sets, and no address except impossible ones."""
    pages = [load(path)["texts"] for path in (root / "samples/doclaynet").glob("*/*.json")]
    ours = {text.strip() for texts in [*pages, *(row["tokens"] for row in invoices)] for text in texts}
    files = [path for name in ("doclaynet", "funsd", "textra") for path in (data / name).rglob("*.json")]
    theirs = {text.strip() for path in files for text in strings(load(path))}
    assert len(ours) > 400
    assert len(theirs) > 1000
    assert not {text for text in ours & theirs if len(text) >= 15}
    assert not [text for text in ours if re.search(r"@(?!\S+\.example\b)|www\.|https?:", text)]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", ["direct", "channel"])
def test_prompt_files_are_reproduced(root, run_script, tmp_path: Path, method: str, dataset: str) -> None:
    shipped = root / f"samples/inputs_{method}_{dataset}.json"
    made = tmp_path / "inputs.json"
    done = run_script(f"run_preprocess_{method}_{dataset}.py", "--data_path", made)
    assert done.returncode == 0, done.stderr
    assert made.read_bytes() == shipped.read_bytes()
    assert load(meta_path(made)) == load(meta_path(shipped))
    assert {prompt.label_words for prompt in read_prompts(shipped, method)} == {DATASETS[dataset]}


@pytest.mark.slow
def test_demo_ends_in_a_table_of_eight_rows(root: Path, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [str(root / "samples/demo.sh"), str(Path(sys.executable).parent)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(table) == 1 + 8
    assert sum("ag_news_sample" in line for line in table) == sum("doclaynet_sample" in line for line in table) == 4
