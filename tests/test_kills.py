"""Commands that write files, killed before any change of a file: the same command then succeeds, without leftovers."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

EVALUATE = "--ckpt_dir tiny --max_seq_len 160"
FINETUNE = "--model random --dataset_path pages --output_dir run --steps 2 --eval_steps 1"
PRETRAIN = (
    "--news_path news.csv --docbank_path docbank --output_dir made --run_dir run --dim 32 --n_layers 1 --n_heads 2"
    " --vocab_size 400 --max_seq_len 512 --epochs 1 --written_blocks 6 --batches_per_step 2 --evaluate_every 5"
)
CALIBRATE = f"{EVALUATE} --direct_input_path inputs.json --direct_output_path outputs.json --output_path new/x.json"
# Name -> script, flags; before each how many-th change it is killed.
COMMANDS = {
    "prompts": ("run_preprocess_direct_ag_news.py", "--dataset_path news --data_path new/x.json", 1),
    "direct": ("run_evaluate_direct_llama.py", f"{EVALUATE} --data_path inputs.json --output_path new/x.json", 1),
    "another result": (
        "run_evaluate_direct_llama.py",
        f"{EVALUATE} --data_path inputs.json --output_path outputs.json --score_eos=False --overwrite",
        2,
    ),
    "calibrated": ("run_evaluate_direct_calibrate_llama.py", CALIBRATE, 2),
    "calibrated without a model": ("run_evaluate_direct_calibrate_llama.py", f"{CALIBRATE} --method batch", 1),
    "sweep": (
        "run_sweep.py",
        f"{EVALUATE} --dataset_path news --limit 1 --methods calibrated --seed 1 --output_dir new",
        7,
    ),
    "report": ("run_report.py", "outputs.json --output new/x.html --figures new/figures", 3),
    "large report": ("run_report.py", "outputs.json --output new/x.html --max_page_mb 0", 2),
    "annotations": (
        "run_preprocess_annotations.py",
        "--annotations invoices/export.json --images invoices/images --output_dir new/rows",
        2,
    ),
    "prediction": (
        "run_predict_layoutlmv3.py",
        "--model model --image page.png --words words.json --output_path new/x.json --preview new/x.png",
        2,
    ),
    "pretraining": ("run_pretrain_tiny_llama.py", PRETRAIN, 5),
    "lora": ("run_finetune_llama_layout.py", f"{FINETUNE} --merge", 7),
    "transformers": ("run_finetune_layoutlmv3.py", f"{FINETUNE} --dataset doclaynet --trainer hf", 7),
    "lightning": ("run_finetune_layoutlmv3.py", f"{FINETUNE} --dataset doclaynet", 7),
}
LIBRARIES = {"transformers": ("annotations", "prediction", "lora", "transformers", "lightning")}


@pytest.fixture
def template(
    tmp_path: Path, make_checkpoint: Callable[..., Path], write_pages: Callable[..., Path], run_script
) -> Path:
    """The input of the commands."""
    folder = tmp_path / "template"
    make_checkpoint(folder / "tiny", max_seq_len=160)
    row = {"prompt": "Article: {text}\nCategory:", "completion": "{label_word}", "label_words": ["World", "Sports"]}
    texts = {"a": "rain stopped play", "b": "the market"}
    rows = [row | {"id": name, "text": text, "ground_truth": "World"} for name, text in texts.items()]
    (folder / "inputs.json").write_text(json.dumps(rows))
    (folder / "news").mkdir()
    for split in ("train", "test"):
        rows = "".join(f"{place % 4 + 1},{split} text {place}\n" for place in range(8))
        (folder / f"news/{split}.csv").write_text("label,text\n" + rows)
    flags = [*EVALUATE.split(), "--data_path", "inputs.json", "--output_path", "outputs.json"]
    done = run_script("run_evaluate_direct_llama.py", *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.copytree(write_pages(train=4, test=2, blocks=3, images=True), folder / "pages")
    shutil.copytree(ROOT / "samples/invoices", folder / "invoices")
    shutil.copyfile(ROOT / "samples/ag_news/train.csv", folder / "news.csv")
    (folder / "docbank").mkdir()
    lines = [
        f"word{n % 7}\t{100 + n}\t{100 + 20 * n}\t140\t{112 + 20 * n}\t0\t0\t0\tfont\tparagraph" for n in range(20)
    ]
    for page in range(2):
        (folder / f"docbank/page{page}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def model(template: Path) -> None:
    """The input with a model that reads pages."""
    from finetune.layoutlmv3.model import load_layout

    load_layout("random", ("A", "B"), ["some text to train on"] * 50, template / "model")
    shutil.copyfile(template / "invoices/images/ahornspan.png", template / "page.png")
    words = json.loads((template / "invoices/words/ahornspan.json").read_text())
    (template / "words.json").write_text(json.dumps(words[:5]))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_before_any_change_of_a_file(name: str, template: Path, request: pytest.FixtureRequest):
    for library, names in LIBRARIES.items():
        if name in names:
            pytest.importorskip(library, reason="needs requirements-finetune.txt")
    if name == "pretraining":
        pytest.importorskip("matplotlib", reason="needs requirements-tiny-llama.txt")
    if name == "prediction":
        request.getfixturevalue("model")
    script, flags, every = COMMANDS[name]
    command = [sys.executable, ROOT / "tests/kills.py", template, str(every), script, *flags.split()]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(template.parent / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "moments" in done.stdout
