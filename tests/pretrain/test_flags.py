"""Every flag of the pre-training script, alone and in pairs, on minimal data."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")
pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from pretrain.layoutlmv3 import LayoutLMv3PretrainingConfig, pretrain_layoutlmv3
from tests.conftest import write_forms
from tests.finetune.test_flags import TRAINING
from tests.flags import Walk

DATA = {
    "dataset=funsd": {"dataset_path": "forms", "image_tokenizer": "codes"},  # white forms have only one code
    "dataset=pages": {"dataset_path": "scans"},
    "dataset=doclaynet,funsd": {"dataset_path": "pages,forms"},
}
WITH_IMAGES = ("objectives=mim", "objectives=mlm,mim,wpa")
WALK = Walk(
    "pretrain_layoutlmv3",
    LayoutLMv3PretrainingConfig,
    pretrain_layoutlmv3,
    {"model": "random", "output_dir": "{new}", "dataset": "doclaynet", "dataset_path": "pages", "steps": "1"}
    | {"codebook_size": "2", "batch_size": "2", "gradient_accumulation_steps": "1"},
    {flag: values for flag, values in TRAINING.items() if flag != "best_by"}
    | {
        "model": ["random", "model"],
        "output_dir": ["{new}/x"],
        "dataset": ["doclaynet", "funsd", "pages", "doclaynet,funsd"],
        "dataset_path": ["pages", "./pages"],
        "train_pages": [0, 3],
        "validation_fraction": [0.1, 0.9],
        "box_unit": ["pixels"],
        "batch_size": [1, 100],
        "image_tokenizer": ["kmeans", "codes"],
        "codebook_size": [2, 16],
        "init_text": ["", "text"],
        "init_image": ["", "image"],
        "visual": [True, False],
        "max_length": [64, 512],
        "stride": [0, 16],
        "boxes": ["segment", "word"],
        "preview": ["", "{new}.png"],
        "overwrite": [True, False],
        "objectives": ["mlm", "mim", "mlm,mim,wpa", "cpc,mlm"],
        "static_masks": [True, False],
        "mlm_ratio": [0.01, 0.99],
        "span_length": [1, 100],
        "span_unit": ["token", "word"],
        "mask_share": [0, 1],
        "random_share": [0, 0.2],
        "mim_ratio": [0.01, 0.99],
        "block_patches": [1, 10**6],
        "block_aspect": [0.01, 1],
        "wpa_threshold": [0.01, 0.99],
        "cpc_ratio": [0.01, 0.99],
        "cpc_areas": [4, 100],
        "adam_beta1": [0, 0.99],
        "adam_beta2": [0, 0.999],
        "keep": ["best", "last"],
        "accelerator": ["auto", "cpu"],
        "devices": ["1", "auto"],
        "strategy": ["auto", "ddp"],
        "precision": ["32-true", "bf16-mixed"],
        "num_workers": [0, 1],
    },
    DATA
    | {"init_image=image": {"init_text": "text"}, "init_text=text": {"model": "random"}}
    | {"box_unit": {"dataset": "doclaynet"}}
    | {"visual=False": {"objectives": "mlm", "model": "random"}, "mask_share=1": {"random_share": "0"}},
    [("steps", "epochs"), ("visual=False", "init_image=image"), *(("visual=False", item) for item in WITH_IMAGES)],
    {"dataset_size": "reads the hub: tests/preprocess/test_pages.py"},
)


@pytest.fixture
def folder(tmp_path: Path, small, roberta, beit, pages_with_images, root, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the flags name, in the working directory."""
    for name, path in (("pages", pages_with_images), ("model", small), ("text", roberta), ("image", beit)):
        (tmp_path / name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    write_forms(tmp_path / "forms")
    (tmp_path / "scans").symlink_to(root / "samples/invoices")
    WALK.run([WALK.command([("objectives", "mim"), ("output_dir", "made")])])
    shutil.copytree("made/model", "codes")
    return tmp_path


def test_every_flag_is_parsed():
    WALK.check()


@pytest.mark.slow
def test_every_pair(folder: Path):
    WALK.run(WALK.covering())
