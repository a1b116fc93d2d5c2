"""Every flag of the script that labels blocks by a fine-tuned LLaMA, alone and in pairs; values it refuses."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("peft", reason="needs requirements-finetune.txt")

from finetune.llama.fine_tuning import finetune_llama
from finetune.llama.prediction import LlamaPredictionConfig, predict_llama
from tests.flags import Walk

WALK = Walk(
    "predict_llama_layout",
    LlamaPredictionConfig,
    predict_llama,
    {"model": "run", "blocks": "page.json", "output_path": "{new}.json", "stride": "16"},
    {
        "model": ["run", "run/merged", "run/adapter", "alone"],
        "base": ["run/base"],
        "blocks": ["page.json", "pages"],
        "output_path": ["{new}/x.json"],
        "max_length": [64, 10**6],
        "stride": [0, 62],
        "batch_size": [1, 10**6],
    },
    {"model=alone": {"base": "run/base"}, "base": {"model": "alone"}},
)
REFUSED = {
    "model=": "--model: expected a run folder",
    "blocks=": "--blocks: expected a page or a folder of pages",
    "output_path=": "--output_path: expected the file to write",
    "model=empty": "empty",
    "base=run/base": "--base run/base: run/merged is a whole model, not an adapter",
    "blocks=empty": "empty: no page in it",
    "blocks=absent": "absent: no such file (--blocks)",
    "output_path=page.json": "--output_path page.json: is the file of --blocks",
    "output_path=page.json/x": "page.json/x: cannot be written: Not a directory (--output_path)",
    "output_path=empty": "empty: is a folder, expected a file name (--output_path)",
    "max_length=0": "--stride 16: expected 0 or more, and less than --max_length 0 minus BOS",
    "stride=-1": "--stride -1: expected 0 or more",
    "stride=511": "--stride 511: expected 0 or more, and less than --max_length 512 minus BOS",
    "batch_size=0": "--batch_size 0: expected 1 or more",
}


@pytest.fixture
def folder(tmp_path: Path, quick, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the flags name, in the working directory."""
    monkeypatch.chdir(tmp_path)
    finetune_llama(quick(merge=True, training={"steps": 1}))
    shutil.copytree("run/adapter", "alone")
    texts = ["a title", "", "the first words of a longer text " * 30]
    rows = [{"text": text, "box": [0, place, 9, place + 1]} for place, text in enumerate(texts)]
    Path("page.json").write_text(json.dumps(rows))
    Path("pages").mkdir()
    for name in ("a", "b"):
        shutil.copyfile("page.json", f"pages/{name}.json")
    Path("empty").mkdir()
    return tmp_path


def test_every_flag_is_parsed():
    WALK.check()


@pytest.mark.slow
def test_every_pair(folder: Path):
    WALK.run([*WALK.alone(), *WALK.covering()])


def test_a_refused_value_leaves_nothing(folder: Path):
    before = sorted(folder.rglob("*"))
    for item, message in REFUSED.items():
        WALK.refuse(item, message)
        assert sorted(folder.rglob("*")) == before
