"""Whole runs: output, resuming, refusals."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("peft", reason="needs requirements-finetune.txt")

from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaForTokenClassification

from evaluate.reading import read_checked
from evaluate.result import Result
from finetune import training
from finetune.llama.fine_tuning import LlamaLayoutConfig, finetune_llama
from finetune.llama.lora import LoraOptions
from preprocess.blocks import LABEL_WORDS
from preprocess.errors import InputError


def content(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text())


def test_a_run_and_its_files(quick, capsys):
    config = quick(merge=True)
    finetune_llama(config)
    folder = Path(config.output_dir)
    metrics = content(folder, "metrics.json")
    predictions = read_checked(folder / "outputs_llama_lora_doclaynet.json")
    result = Result(predictions)
    assert (result.method, result.dataset, result.k, result.checkpoint) == ("LLaMA LoRA", "doclaynet", None, "random")
    assert result.seconds > 0
    assert result.accuracy == metrics["test"]["accuracy"]
    assert [row["id"] for row in predictions.rows] == [f"test{page}-{n}" for page in range(4) for n in range(8)]
    for row in predictions.rows:
        assert row["label_words"] == list(LABEL_WORDS)
        assert row["group"] == row["id"].partition("-")[0]
        assert row["prediction"] == LABEL_WORDS[row["log_probs"].index(max(row["log_probs"]))]
    assert [sum(p) for p in result.distributions] == pytest.approx([1.0] * 32)
    majority = Result(read_checked(folder / "outputs_majority_doclaynet.json"))
    assert len(set(majority.predicted)) == 1
    assert majority.truths == result.truths
    assert metrics["data"]["test"] == {"pages": 4, "blocks": 32, "chunks": 4, "blocks_read": 32}
    assert set(metrics["test"]["words"]) == {"precision", "recall", "f1", "accuracy"}
    assert content(folder, "configuration.json")["versions"]["peft"]
    assert LlamaForTokenClassification.from_pretrained(folder / "merged").config.num_labels == 11
    assert AutoTokenizer.from_pretrained(folder / "adapter").bos_token_id == 1
    assert "accuracy" in capsys.readouterr().out

    before = (folder / "metrics.json").stat().st_mtime_ns
    finetune_llama(config)
    assert "already finished" in capsys.readouterr().out
    assert (folder / "metrics.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"contains a run with .*'steps': 12.* now .*'steps': 13.*--overwrite"):
        finetune_llama(replace(config, training=replace(config.training, steps=13)))
    (folder / "outputs_of_another_set.json").write_text("[]")
    finetune_llama(replace(config, training=replace(config.training, steps=13), overwrite=True))
    assert not (folder / "outputs_of_another_set.json").exists()
    assert content(folder, "metrics.json")["steps"] == 13


@pytest.mark.parametrize("model", ["random", "checkpoints/tiny"])
def test_a_resumed_run_equals_one_that_was_not_stopped(quick, monkeypatch, root, capsys, model):
    """Stopped at step 10, in the second epoch; the last checkpoint is that of step 8."""
    monkeypatch.chdir(root)
    whole, stopped = quick("whole", model=model), quick("stopped", model=model)
    finetune_llama(whole)
    log = training.CsvCallback.on_log

    def stop(self, args, state, control, **more):
        if state.global_step == 10:
            raise KeyboardInterrupt
        log(self, args, state, control, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.CsvCallback, "on_log", stop)
        finetune_llama(stopped)
    assert "checkpoint-8: saved; the same command resumes" in capsys.readouterr().err
    assert not (Path(stopped.output_dir) / "metrics.json").exists()
    finetune_llama(stopped)
    assert "checkpoint-8: resuming from" in capsys.readouterr().out
    one, other = Path(whole.output_dir), Path(stopped.output_dir)
    name = "outputs_llama_lora_doclaynet.json"
    assert (one / name).read_bytes() == (other / name).read_bytes()
    first, second = (content(folder, "metrics.json") | {"training_seconds": None} for folder in (one, other))
    assert first == second
    weights = [load_file(folder / "adapter/adapter_model.safetensors") for folder in (one, other)]
    assert all((weights[0][key] == weights[1][key]).all() for key in weights[0])
    steps = [[line.split(",")[0] for line in (folder / "log.csv").read_text().splitlines()] for folder in (one, other)]
    assert steps[0] == steps[1] == ["step", "2", "4", "6", "8", "10", "12"]


def test_merging_later_trains_nothing(quick, monkeypatch):
    """Even if the run folder was moved; an interrupted merge leaves no partial model."""
    config = quick()
    finetune_llama(config)
    name = "outputs_llama_lora_doclaynet.json"
    before = (Path(config.output_dir) / name).read_bytes()
    moved = replace(config, merge=True, output_dir=f"{config.output_dir}_elsewhere")
    Path(config.output_dir).rename(moved.output_dir)
    monkeypatch.setattr("finetune.llama.fine_tuning.train", None)

    def cut(model, base, folder):
        folder.mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("finetune.llama.fine_tuning.save_merged", cut)
        finetune_llama(moved)
    assert not (Path(moved.output_dir) / "merged").exists()
    finetune_llama(moved)
    assert (Path(moved.output_dir) / "merged/config.json").exists()
    assert (Path(moved.output_dir) / name).read_bytes() == before


def test_a_failed_start_leaves_the_folder_to_another_run(quick, make_checkpoint, tmp_path):
    """With an invalid option that is found only after the model is loaded."""
    with pytest.raises(InputError, match="--lora_modules nothing"):
        finetune_llama(replace(quick(), lora=LoraOptions(lora_modules="nothing")))
    finetune_llama(quick(training={"steps": 1}))
    assert content(tmp_path / "run", "configuration.json")["configuration"]["lora"]["lora_r"] == 4


def test_a_checkpoint_selected_on_the_test_pages_is_reported(quick, capsys):
    finetune_llama(quick(training={"steps": 1}))
    assert "warning" not in capsys.readouterr().out
    splits = {"test_split": "train", "validation_split": "train"}
    finetune_llama(quick("same", page_options=splits, training={"steps": 1}))
    assert "warning: validation and test pages are the same" in capsys.readouterr().out


@pytest.mark.parametrize("training", [{"steps": 3, "eval_steps": 100}, {"steps": None, "epochs": 0.5}])
def test_a_run_shorter_than_its_evaluations(quick, training):
    config = quick(training=training)
    finetune_llama(config)
    assert content(Path(config.output_dir), "metrics.json")["best_step"] == 3


def test_blocks_without_tokens_are_unanswered(quick, monkeypatch):
    """They count as wrong, and have no log-probabilities."""
    from documents import chunks

    encode = chunks.encode_page

    def without_figures(tokenizer, texts):
        return encode(tokenizer, ["" if text.startswith("report") else text for text in texts])

    monkeypatch.setattr(chunks, "encode_page", without_figures)
    config = quick(training={"steps": 2})
    finetune_llama(config)
    folder = Path(config.output_dir)
    rows = read_checked(folder / "outputs_llama_lora_doclaynet.json").rows
    lost = [row for row in rows if row["ground_truth"] == "Title"]
    assert lost
    assert all(row["prediction"] is None and not row["correct"] and "log_probs" not in row for row in lost)
    assert content(folder, "metrics.json")["test"]["unanswered"] == len(lost)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"dtype": "float16"}, "--dtype float16"),
        ({"stride": 511}, "--stride 511"),
        ({"stride": -1}, "--stride -1"),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(InputError, match=message):
        LlamaLayoutConfig(**options)


def test_several_processes_are_refused(quick, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="torchrun: training uses one process"):
        finetune_llama(quick())


def test_entities_need_iob_tags(quick):
    with pytest.raises(InputError, match="--best_by entity_f1: expected IOB tags, found Caption, "):
        finetune_llama(quick(training={"best_by": "entity_f1"}))


def test_refused_length(quick, make_checkpoint, tmp_path):
    folder = make_checkpoint(tmp_path / "short", max_seq_len=64)
    with pytest.raises(InputError, match=r"--stride 128: .*short takes only 64 tokens"):
        finetune_llama(quick(model=str(folder)))


def test_the_command(run_script, pages, tmp_path):
    """Run as by a user; then the table shows its rows."""
    command = ("run_finetune_llama_layout.py", "--model", "checkpoints/tiny", "--dataset_path", pages)
    bad = run_script(*command, "--output_dir", tmp_path / "run", "--train_path", tmp_path / "nothing")
    assert bad.returncode == 2
    assert bad.stderr.startswith("error: ")
    assert bad.stderr.count("\n") == 1
    good = run_script(*command, "--output_dir", tmp_path / "run", "--steps", 4, "--eval_steps", 2)
    assert good.returncode == 0, good.stderr
    assert good.stderr == ""
    table = run_script("run_results_table.py", tmp_path / "run", "--columns", "k,method,checkpoint")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.stdout.splitlines()[2:]]
    rows = [row for row in rows if len(row) == 3]
    assert rows == [["-", "LLaMA LoRA", "tiny"], ["-", "majority", "-"], ["-", "TF-IDF", "-"]]


@pytest.mark.slow
def test_it_learns(write_pages, quick):
    """From the tiny checkpoint, on held-out pages: more than .95 of the blocks are correct."""
    config = quick(
        model="checkpoints/tiny",
        page_options={"dataset_path": str(write_pages(train=60, test=10, blocks=10, seed=5))},
        training={"steps": 300, "eval_steps": 100, "batch_size": 4, "learning_rate": 3e-3},
    )
    finetune_llama(replace(config, lora=LoraOptions(lora_r=16)))
    found = content(Path(config.output_dir), "metrics.json")["test"]
    assert found["accuracy"] > 0.95
    assert found["macro_f1"] > 0.95
