"""Unlabelled blocks, labelled by a fine-tuned LLaMA: merged or as an adapter; refusals."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("peft", reason="needs requirements-finetune.txt")

from huggingface_hub import ModelCard

from finetune import hub
from finetune.llama.fine_tuning import finetune_llama
from finetune.llama.prediction import LlamaPredictionConfig, predict_llama
from preprocess.errors import InputError


@pytest.fixture
def run(quick):
    """A finished run, with adapter and merged model."""
    config = quick(merge=True)
    finetune_llama(config)
    return config


def page(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def predict(model: Path, blocks: Path, output: Path, **more) -> list[dict]:
    predict_llama(LlamaPredictionConfig(str(model), blocks=str(blocks), output_path=str(output), **more))
    return json.loads(output.read_text()) if output.is_file() else []


def test_predictions_are_those_of_the_run(run, tmp_path, capsys):
    """The same page without labels: adapter and merged model predict the same as the run, in the file's order."""
    folder = Path(run.output_dir)
    told = json.loads((folder / "outputs_llama_lora_doclaynet.json").read_text())
    source = json.loads((Path(run.pages.dataset_path) / "test/000.json").read_text())
    rows = [
        {"text": cells[0]["text"], "box": [x, y, x + width, y + height]}
        for (x, y, width, height), cells in zip(source["bboxes"], source["pdf_cells"], strict=True)
    ]
    rows = [*reversed(rows), {"text": " ", "box": [0, 0, 1, 1]}]
    blocks = page(tmp_path / "page.json", rows)
    expected = [row for row in told if row["id"].startswith("test0-")]
    for model in (folder, folder / "merged", folder / "adapter"):
        found = predict(model, blocks, tmp_path / "made" / f"{model.name}.json")
        assert [row["label"] for row in found] == [*(row["prediction"] for row in reversed(expected)), None]
        assert [row["text"] for row in found] == [row["text"] for row in rows]
        assert all(0 < row["score"] <= 1 for row in found[:-1])
    assert "without text, not labelled: 1" in capsys.readouterr().out
    shutil.move(folder / "adapter", tmp_path / "alone")
    with_base = predict(tmp_path / "alone", blocks, tmp_path / "alone.json", base=str(folder / "base"))
    assert [row["label"] for row in with_base] == [row["label"] for row in found]
    pages = page(tmp_path / "pages/a.json", rows).parent
    predict(folder, pages, tmp_path / "several")
    assert json.loads((tmp_path / "several/a.json").read_text())[0]["label"] == found[0]["label"]


def test_cards_are_filled_and_both_are_pushed(run, tmp_path, monkeypatch):
    """No placeholders of peft's template; the base is named; the hub is never reached."""
    folder, calls = Path(run.output_dir), []

    class Hub:
        def create_repo(self, name, **_):
            calls.append(name)

        def upload_folder(self, repo_id, folder_path, ignore_patterns):
            calls.append((repo_id, Path(folder_path).name))

    monkeypatch.setattr(hub, "HfApi", Hub)
    for inside, library in (("adapter", "peft"), ("merged", "transformers")):
        card = ModelCard((folder / inside / "README.md").read_text())
        assert card.data.library_name == library
        assert "More Information Needed" not in card.content
        assert "| accuracy | " in card.text
    adapter = json.loads((folder / "adapter/adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == str(folder / "base")
    from dataclasses import replace

    finetune_llama(replace(run, push_to_hub="me/pages"))
    assert calls == ["me/pages", ("me/pages", "adapter"), "me/pages-merged", ("me/pages-merged", "merged")]


def test_refused(tmp_path):
    blocks = page(tmp_path / "page.json", [{"text": "a", "box": [0, 0, 1]}])
    with pytest.raises(InputError, match=r"page.json: row 0: box \[0, 0, 1\], expected"):
        predict(tmp_path, blocks, tmp_path / "out.json")
    blocks = page(tmp_path / "page.json", [{"text": "a", "box": [0, 0, 1, 1]}])
    with pytest.raises(InputError, match=r"no config\.json in it"):
        predict(tmp_path, blocks, tmp_path / "out.json")
    with pytest.raises(InputError, match=r"is the file of --blocks"):
        predict(tmp_path, blocks, blocks)
    with pytest.raises(InputError, match="no page in it"):
        predict(tmp_path, page(tmp_path / "none/x.txt", []).parent, tmp_path / "out")
    for flag in ("model", "blocks", "output_path"):
        flags = {"model": "m", "blocks": "b", "output_path": "o"} | {flag: ""}
        with pytest.raises(InputError, match=rf"--{flag}: expected"):
            predict_llama(LlamaPredictionConfig(**flags))
