"""LayoutLMv3 from random weights on the whole of FUNSD, compared with the most frequent tag."""

import json
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")


@pytest.mark.slow
def test_training_from_random_weights_beats_the_majority(data: Path, run_script, tmp_path: Path) -> None:
    """By .10 in the accuracy of words and by .15 in the F1 of entities, on the 50 test forms."""
    run = tmp_path / "run"
    done = run_script(
        *("run_finetune_layoutlmv3.py", "--model", "random", "--dataset", "funsd", "--dataset_path", data / "funsd"),
        *("--output_dir", run, "--learning_rate", 1e-3, "--batch_size", 8, "--weight_decay", 0.1, "--warmup", 0.3),
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["data"]["test"]["pages"] == 50
    assert metrics["data"]["test"]["blocks"] == 8707
    model, majority = metrics["test"], metrics["baselines"]["majority"]
    assert model["accuracy"] >= majority["accuracy"] + 0.10
    assert model["entity_f1"] >= majority["entity_f1"] + 0.15
