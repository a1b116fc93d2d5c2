"""The preview of the training data: pictures of pages, and a chunk as the model reads it."""

from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

from PIL import Image

from finetune.layoutlmv3.fine_tuning import finetune_layoutlmv3
from preprocess.pages import read_pages


def test_preview(quick_layout, pages_with_images, tmp_path, capsys):
    config = quick_layout(preview=str(tmp_path / "shown"))
    finetune_layoutlmv3(config)
    said = capsys.readouterr().out
    pictures = sorted((tmp_path / "shown").iterdir())
    assert [path.name for path in pictures] == [f"page-{number}.png" for number in range(1, 5)]
    plain = Image.open(pages_with_images / "train/000.png").convert("RGB")
    assert Image.open(pictures[0]).size == plain.size
    assert Image.open(pictures[0]).tobytes() != plain.tobytes()
    first = next(read_pages(str(pages_with_images), "train"))
    lines = [line.split() for line in said.splitlines()]
    labels = [line[-1] for line in lines if len(line) == 7 and line[0].isdecimal()]
    assert labels == [block.label_word for block in first.blocks][: len(labels)]
    assert labels
    boxes = [list(map(int, line[2:6])) for line in lines if len(line) == 7 and line[0].isdecimal()]
    assert boxes == [list(block.box) for block in first.blocks][: len(boxes)]
    assert not Path(config.output_dir).exists()
