"""What the tests of finetune/ share: generated pages, in which a word tells the class, and runs on them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess.blocks import LABEL_WORDS

TELLING = ("figure", "note", "equals", "item", "page", "chapter", "photo", "overview", "rows", "the", "report")
FILLING = ("rain", "market", "play", "today", "world", "news", "game", "price", "team", "city", "work", "year")


def generated_page(name: str, generator: np.random.Generator, blocks: int) -> dict[str, Any]:
    """A row in DocLayNet v1.2's form; the first word of a block tells its class."""
    labels = generator.integers(len(LABEL_WORDS), size=blocks).tolist()
    boxes = [[50.0, 10.0 + 30 * number, 900.0, 20.0] for number in range(blocks)]
    cells = []
    for label, box in zip(labels, boxes, strict=True):
        words = [TELLING[label], *generator.choice(FILLING, size=int(generator.integers(2, 6)))]
        cells.append([{"text": " ".join(words), "bbox": box}])
    return {
        "bboxes": boxes,
        "category_id": [label + 1 for label in labels],
        "pdf_cells": cells,
        "metadata": {"page_hash": name, "coco_width": 1025, "coco_height": 1025},
    }


def draw(row: dict[str, Any], path: Path) -> None:
    """The image of a page, a fifth as large: the words in their boxes."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (205, 205), "white")
    pen = ImageDraw.Draw(image)
    for (x, y, width, height), cells in zip(row["bboxes"], row["pdf_cells"], strict=True):
        pen.rectangle((x / 5, y / 5, (x + width) / 5, (y + height) / 5), outline="gray")
        pen.text((x / 5, y / 5), cells[0]["text"], fill="black")
    image.save(path)


@pytest.fixture(scope="session")
def write_pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """(train=12, test=4, blocks=8, seed=0, images=False) -> a folder with pages to train and to test on."""

    def write(train: int = 12, test: int = 4, blocks: int = 8, seed: int = 0, images: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("pages")
        generator = np.random.default_rng(seed)
        for split, count in (("train", train), ("test", test)):
            for number in range(count):
                path = folder / split / f"{number:03d}.json"
                path.parent.mkdir(exist_ok=True)
                row = generated_page(f"{split}{number}", generator, blocks)
                path.write_text(json.dumps(row))
                if images:
                    draw(row, path.with_suffix(".png"))
        return folder

    return write


@pytest.fixture(scope="session")
def pages(write_pages: Callable[..., Path]) -> Path:
    """A small data set. Tests leave it as it is."""
    return write_pages()


@pytest.fixture(scope="session")
def pages_with_images(write_pages: Callable[..., Path]) -> Path:
    """The same, with an image of each page."""
    return write_pages(images=True)


@pytest.fixture
def quick(pages: Path, tmp_path: Path) -> Callable[..., Any]:
    """(folder, options of the run, of training as a dictionary) -> the options of a run of a few seconds."""
    from finetune.llama_layout import LlamaLayoutConfig
    from finetune.lora import LoraOptions
    from finetune.pages import PageOptions
    from finetune.training import TrainingOptions

    def options(
        folder: str = "run", page_options: dict | None = None, training: dict | None = None, **more: Any
    ) -> Any:
        few = {"steps": 12, "eval_steps": 4, "logging_steps": 2, "learning_rate": 1e-3}
        return LlamaLayoutConfig(
            **{"model": "random", "output_dir": str(tmp_path / folder)} | more,
            pages=PageOptions(**{"dataset_path": str(pages)} | (page_options or {})),
            training=TrainingOptions(**few | (training or {})),
            lora=LoraOptions(lora_r=4),
        )

    return options


@pytest.fixture
def quick_layout(pages_with_images: Path, tmp_path: Path) -> Callable[..., Any]:
    """As `quick`, of LayoutLMv3: (folder, options of the run, of pages, training and Lightning as dictionaries)."""
    from finetune.layoutlmv3 import LayoutLMv3Config
    from finetune.lightning_training import LightningOptions
    from finetune.pages import PageOptions
    from finetune.training import TrainingOptions

    few = {"steps": 6, "eval_steps": 2, "logging_steps": 2, "learning_rate": 1e-3, "batch_size": 2, "schedule": None}

    def options(
        folder: str = "run",
        page_options: dict | None = None,
        training: dict | None = None,
        lightning: dict | None = None,
        **more: Any,
    ) -> Any:
        where = {} if more.get("trainer") == "hf" else {"accelerator": "cpu"}
        return LayoutLMv3Config(
            **{"model": "random", "dataset": "doclaynet", "output_dir": str(tmp_path / folder)} | more,
            pages=PageOptions(**{"dataset_path": str(pages_with_images)} | (page_options or {})),
            training=TrainingOptions(**few | (training or {})),
            lightning=LightningOptions(**where | (lightning or {})),
        )

    return options
