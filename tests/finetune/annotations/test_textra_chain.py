"""From labelled images to predictions: annotations -> data set -> fine-tuned LayoutLMv3 -> the labels of a page."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")
pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from PIL import Image, ImageDraw

from options import parse
from finetune.annotations.dataset import AnnotationsConfig, preprocess_annotations
from finetune.layoutlmv3.fine_tuning import LayoutLMv3Config, finetune_layoutlmv3
from finetune.layoutlmv3.prediction import PredictionConfig, predict_layoutlmv3

LABELS = ["InvNum", "InvDate", "Fourni", "TTC", "TVA", "TT", "Autre"]
TRAINING = (
    "--model random --dataset annotations --trainer hf --test_split train --validation_split train "
    "--learning_rate 1e-3 --batch_size 2"
)


def chain(pages: list[dict[str, Any]], annotations: Path, folder: Path, training: str) -> float:
    """Run every step with its flags; returns the share of regions whose label is predicted correctly."""
    made, trained = f"{folder}/made", f"{folder}/run"
    flags = ["--annotations", str(annotations), "--test_size", "0", "--output_dir", made]
    preprocess_annotations(parse(AnnotationsConfig, flags))
    flags = ["--dataset_path", made, "--output_dir", trained, *f"{TRAINING} {training}".split()]
    finetune_layoutlmv3(parse(LayoutLMv3Config, flags))
    hits = []
    for page in pages:
        image, output = annotations.parent / page["file_name"], folder / f"{page['file_name']}.json"
        flags = ["--model", trained, "--image", str(image), "--words", str(annotations), "--output_path", str(output)]
        predict_layoutlmv3(parse(PredictionConfig, flags))
        rows = json.loads(output.read_text())
        agree_with_the_run(rows, Path(trained), page["file_name"])
        for row, region in zip(rows, page["annotations"], strict=True):
            sides = (page["width"], page["height"]) * 2
            box = [percent * side / 100 for percent, side in zip(region["box"], sides, strict=True)]
            assert row["text"] == region["text"]
            assert row["box"] == pytest.approx(box, abs=0.01)
            hits.append(row["label"] == LABELS[region["label"]])
    return sum(hits) / len(hits)


def agree_with_the_run(rows: list[dict[str, Any]], trained: Path, page: str) -> None:
    """The saved model predicts the same for the page as the run."""
    told = json.loads((trained / "outputs_layoutlmv3_annotations.json").read_text())
    told = [row for row in told if row["group"] == page]
    assert [row["label"] for row in rows] == [row["prediction"] for row in told]
    expected = [math.exp(max(row["log_probs"])) for row in told]
    assert [row["score"] for row in rows] == pytest.approx(expected, abs=1e-5)


def draw_invoices(folder: Path, count: int) -> list[dict[str, Any]]:
    """Images with words and their annotations; the word of a region determines its class."""
    generator = np.random.default_rng(0)
    pages = []
    for number in range(count):
        image = Image.new("RGB", (200, 160), "white")
        draw = ImageDraw.Draw(image)
        regions = []
        for place, label in enumerate(generator.permutation(len(LABELS)).tolist()):
            text = f"{LABELS[label]} {generator.integers(100)}"
            corners = [10, 20 * place, 150, 20 * place + 15]
            draw.text(corners[:2], text, "black")
            box = [100 * value / side for value, side in zip(corners, image.size * 2, strict=True)]
            regions.append({"box": box, "text": text, "label": label})
        name = f"invoice{number}.png"
        image.quantize(8).save(folder / name)
        pages.append({"file_name": name, "height": 160, "width": 200, "annotations": regions})
    (folder / "export.json").write_text(json.dumps(pages))
    return pages


def test_drawn_invoices(tmp_path):
    pages = draw_invoices(tmp_path, 2)
    assert chain(pages, tmp_path / "export.json", tmp_path, "--steps 20 --eval_steps 10") > 0.95


def test_real_invoices(data, tmp_path):
    annotations = data / "textra/Exemple_Training.json"
    pages = json.loads(annotations.read_text())
    assert [len(page["annotations"]) for page in pages] == [24, 43]
    assert chain(pages, annotations, tmp_path, "--steps 40 --eval_steps 20") > 0.95
