"""Every flag of the fine-tuning scripts, alone and in pairs, on minimal data."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")
pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

import torch

from finetune import hub
from finetune.annotations.dataset import AnnotationsConfig, preprocess_annotations
from finetune.exploration import ExploreConfig, explore
from finetune.hub import STRATEGIES
from finetune.layoutlmv3.fine_tuning import DEFAULTS, LayoutLMv3Config, finetune_layoutlmv3
from finetune.layoutlmv3.model import load_layout
from finetune.layoutlmv3.prediction import PredictionConfig, predict_layoutlmv3
from finetune.llama.fine_tuning import LlamaLayoutConfig, finetune_llama
from finetune.training import CHOSEN_BY
from preprocess.blocks import LABEL_WORDS
from tests.conftest import write_forms
from tests.finetune.test_hub import Hub
from tests.flags import Walk
from training.options import SCHEDULES

PAGES = {
    "dataset_path": ["pages"],
    "train_path": ["pages", "pages/train"],
    "train_pages": [0, 3],
    "validation_split": ["train", "test"],
    "validation_fraction": [0.1, 0.9],
    "test_split": ["test", "train"],
    "limit": [0, 3, 10**9],
    "box_unit": ["pixels"],
}
TRAINING = {
    "steps": [1, 2],
    "epochs": [0.1, 1],
    "batch_size": [1, 10**6],
    "gradient_accumulation_steps": [1, 2],
    "learning_rate": [1e-3, 10],
    "schedule": SCHEDULES,
    "warmup": [0, 0.9],
    "weight_decay": [0, 0.1],
    "eval_steps": [1, 10**6],
    "logging_steps": [1, 10**6],
    "best_by": CHOSEN_BY,
    "patience": [0, 1],
    "warmup_steps": [0, 1],
    "gradient_checkpointing": [True, False],
    "logger": ["tensorboard", "csv"],
    "seed": [0, 2**32 - 1],
}
FORMS = {"dataset": "funsd", "dataset_path": "forms"}
SMALL = {"model": "random", "output_dir": "{new}", "dataset_path": "pages", "steps": "1"}
ON_HUB = {"dataset_size": "reads the hub: tests/preprocess/test_pages.py"}
SAME_PAGES = ("train_path=pages/train", "test_split=train")
LAYOUTLMV3 = Walk(
    "finetune_layoutlmv3",
    LayoutLMv3Config,
    finetune_layoutlmv3,
    SMALL | {"dataset": "doclaynet"},
    PAGES
    | TRAINING
    | {
        "model": ["random", "model"],
        "dataset": ["funsd", "doclaynet", "annotations"],
        "output_dir": ["{new}/x"],
        "trainer": DEFAULTS,
        "max_length": [64, 10**6],
        "stride": [0, 16],
        "boxes": ["segment", "word"],
        "preview": ["", "{new}"],
        "overwrite": [True, False],
        "push_to_hub": ["me/forms"],
        "private": [True, False],
        "hub_strategy": STRATEGIES,
        "accelerator": ["auto", "cpu"],
        "devices": ["1", "auto"],
        "strategy": ["auto", "ddp"],
        "precision": ["32-true", "bf16-mixed"],
        "num_workers": [0, 1],
    },
    {"best_by=entity_f1": FORMS, "boxes=word": FORMS, "private=True": {"push_to_hub": "me/forms"}}
    | {"dataset=funsd": FORMS, "dataset=annotations": {"dataset_path": "rows"}}
    | {flag: {"dataset": "doclaynet"} for flag in ("train_path", "box_unit")}
    | {"max_length=64": {"stride": "16"}}
    | {f"hub_strategy={name}": {"push_to_hub": "me/forms", "trainer": "hf"} for name in STRATEGIES[1:]},
    [
        ("steps", "epochs"),
        SAME_PAGES,
        *(("model=model", f"dataset={name}") for name in ("funsd", "annotations")),
        *(("trainer=hf", item) for item in ("accelerator=cpu", "devices=auto", "strategy=ddp", "num_workers=1")),
    ],
    ON_HUB,
)
LORA = Walk(
    "finetune_llama_layout",
    LlamaLayoutConfig,
    finetune_llama,
    SMALL,
    PAGES
    | TRAINING
    | {
        "best_by": ["macro_f1", "accuracy"],
        "output_dir": ["{new}/x"],
        "max_length": [64, 10**6],
        "stride": [0, 16],
        "dtype": ["auto", "float32", "bfloat16"],
        "merge": [True, False],
        "overwrite": [True, False],
        "push_to_hub": ["me/forms"],
        "private": [True, False],
        "hub_strategy": STRATEGIES,
        "lora_r": [1, 8],
        "lora_alpha": [1, 64],
        "lora_dropout": [0, 0.9],
        "lora_modules": ["q_proj", "k_proj,o_proj", "all-linear"],
    },
    needs={"max_length=64": {"stride": "16"}, "private=True": {"push_to_hub": "me/forms"}}
    | {f"hub_strategy={name}": {"push_to_hub": "me/forms"} for name in STRATEGIES[1:]},
    apart=[("steps", "epochs"), SAME_PAGES],
    elsewhere=ON_HUB,
)
PREDICT = Walk(
    "predict_layoutlmv3",
    PredictionConfig,
    predict_layoutlmv3,
    {"model": "model", "image": "page.png", "words": "words.json", "output_path": "{new}.json"},
    {
        "model": ["model", "./model"],
        "words": ["words.json", "page.json"],
        "output_path": ["{new}/x.json"],
        "preview": ["{new}.png", "{new}/x.png"],
        "box_unit": ["pixels", "percent", "0..1000"],
        "boxes": ["segment", "word"],
        "max_length": [200, 10**6],
        "stride": [0, 64],
    },
)
ANNOTATIONS = Walk(
    "preprocess_annotations",
    AnnotationsConfig,
    preprocess_annotations,
    {"annotations": "invoices/export.json", "output_dir": "{new}", "images": "invoices/images"},
    {
        "images": ["invoices/images", "./invoices/images/"],
        "words": ["invoices/words"],
        "words_unit": ["pixels"],
        "box_unit": ["percent"],
        "annotator": ["1"],
        "predictions": [True, False],
        "labels": ["InvNum,InvDate,Fourni,TTC,TVA,TT,Autre", "Autre,TT,TVA,TTC,Fourni,InvDate,InvNum,X"],
        "unlabelled": ["Autre"],
        "output_dir": ["{new}/x"],
        "test_size": [0, 0.07, 0.8],
        "shuffle": [True, False],
        "seed": [0, 2**63 - 1],
        "overwrite": [True, False],
        "push_to_hub": ["me/forms"],
        "private": [True, False],
    },
    {"words_unit": {"words": "invoices/words"}, "private=True": {"push_to_hub": "me/forms"}},
)
EXPLORE = Walk(
    "explore_pages",
    ExploreConfig,
    explore,
    {"dataset": "doclaynet", "dataset_path": "pages", "output_dir": "{new}"},
    {
        "dataset": ["funsd", "doclaynet", "annotations"],
        "dataset_path": ["pages", "./pages/"],
        "output_dir": ["{new}/x"],
        "box_unit": ["", "pixels"],
        "boxes": ["segment", "word"],
    },
    {"dataset=funsd": {"dataset_path": "forms"}, "dataset=annotations": {"dataset_path": "rows"}}
    | {"box_unit=pixels": {"dataset": "doclaynet"}, "boxes=word": FORMS},
    elsewhere=ON_HUB,
)
TRAINED = pytest.mark.parametrize("walk", [LAYOUTLMV3, LORA], ids=lambda walk: walk.script)
OTHERS = pytest.mark.parametrize("walk", [PREDICT, ANNOTATIONS, EXPLORE], ids=lambda walk: walk.script)


@pytest.fixture
def folder(tmp_path: Path, root: Path, write_pages, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the flags name, in the working directory; the hub is a stand-in."""
    (tmp_path / "pages").symlink_to(write_pages(train=4, test=2, blocks=3, images=True))
    (tmp_path / "invoices").symlink_to(root / "samples/invoices")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "HfApi", Pushing)
    monkeypatch.setattr("datasets.DatasetDict.push_to_hub", lambda *_, **__: None)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    shutil.copyfile(root / "samples/invoices/images/ahornspan.png", "page.png")
    words = json.loads((root / "samples/invoices/words/ahornspan.json").read_text())[:5]
    rows = [word | {"box": [value / 10 for value in word["box"]]} for word in words]  # on the page in every unit
    Path("words.json").write_text(json.dumps(rows))
    Path("page.json").write_text(json.dumps([{"file_name": "page.png", "annotations": rows}]))
    write_forms(tmp_path / "forms")
    torch.manual_seed(0)
    load_layout("random", LABEL_WORDS, ["some text to train on"] * 50, tmp_path / "model")
    invoices = AnnotationsConfig("invoices/export.json", "invoices/images", output_dir="rows", test_size=0.4)
    preprocess_annotations(invoices)
    return tmp_path


class Pushing(Hub):
    """A hub that accepts folders."""

    def upload_folder(self, **_: object) -> None:
        pass


@TRAINED
def test_every_flag_is_parsed(walk: Walk):
    walk.check()


@pytest.mark.slow
@TRAINED
def test_every_pair(walk: Walk, folder: Path):
    walk.run([*walk.alone(), *walk.covering()])


@OTHERS
def test_every_pair_of_scripts_without_training(walk: Walk, folder: Path):
    walk.check()
    walk.run(walk.covering())
