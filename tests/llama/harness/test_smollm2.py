"""A real pretrained model, SmolLM2-135M, by the harness's models `llama` and `hf` (from `make smollm2`)."""

from pathlib import Path

import pytest

pytest.importorskip("lm_eval", reason="needs the extra harness; test_environment.py runs these in its own")

from lm_eval.models.huggingface import HFLM

from llama.harness.model import HarnessModel
from tests.llama.harness.tasks import TASKS, assert_same, evaluate, write_tasks


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    path = root / "checkpoints/smollm2-135m"
    if not (path / "config.json").is_file():
        pytest.skip(f"needs {path}: make smollm2")
    return path


@pytest.mark.slow
def test_tasks(folder, tmp_path) -> None:
    """With 256 positions, documents need several windows, and 25 shots are truncated; with all, nothing is."""
    write_tasks(tmp_path, 4)
    how = {"pretrained": str(folder), "dtype": "float32"}
    ours, theirs = HarnessModel(**how), HFLM(device="cpu", **how)
    assert ours.max_length == theirs.max_length == 8192
    found, expected = (evaluate(model, tmp_path, list(TASKS)) for model in (ours, theirs))
    assert_same(found, expected, ours.tok_encode)
    answers = [sample["resps"][0][0] for sample in found["samples"]["towns_answers"]]
    assert all(answers) and not any("\n" in answer for answer in answers)
    ours, theirs = HarnessModel(max_length=256, **how), HFLM(device="cpu", max_length=256, **how)
    names = ["towns_25", "towns_documents"]
    assert_same(*(evaluate(model, tmp_path, names) for model in (ours, theirs)), ours.tok_encode)


@pytest.mark.slow
def test_conversations(folder, tmp_path) -> None:
    """Few-shot questions as turns of a chat, with the model's own template."""
    write_tasks(tmp_path, 2)
    how = {"pretrained": str(folder), "dtype": "float32"}
    ours, theirs = HarnessModel(**how), HFLM(device="cpu", **how)
    asked = {"apply_chat_template": True, "fewshot_as_multiturn": True, "system_instruction": "Answer in one word."}
    names = ["towns_5", "towns_answers"]
    found, expected = (evaluate(model, tmp_path, names, **asked) for model in (ours, theirs))
    assert found["samples"]["towns_5"][0]["arguments"][0][0].startswith(
        "<|im_start|>system\nAnswer in one word.<|im_end|>"
    )
    assert_same(found, expected, ours.tok_encode)
