"""The training loop on a few invented rows: it learns, resumes, and writes a checkpoint that loads."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_llama.train
from llama import load
from preprocess.errors import InputError
from tiny_llama.state import Log, read_log
from tiny_llama.train import PretrainConfig, learning_rate


@pytest.fixture
def config(
    tmp_path: Path, root: Path, docbank: Path, one_process: None, monkeypatch: pytest.MonkeyPatch
) -> PretrainConfig:
    """A training of about twenty steps on the sample news and a generated DocBank page."""
    monkeypatch.setattr(tiny_llama.train, "finish", lambda: None)  # the process group is shared with other tests
    return PretrainConfig(
        news_path=str(root / "samples/ag_news/train.csv"),
        docbank_path=str(docbank),
        output_dir=str(tmp_path / "checkpoint"),
        run_dir=str(tmp_path / "run"),
        dim=32,
        n_layers=1,
        n_heads=2,
        vocab_size=400,
        max_seq_len=512,
        epochs=1,
        written_blocks=6,
        batches_per_step=2,
        warmup_steps=2,
        evaluate_every=5,
    )


def weights(folder: str) -> dict[str, torch.Tensor]:
    return torch.load(Path(folder) / "consolidated.00.pth", weights_only=True)


def test_learns_and_ends_in_a_checkpoint(config: PretrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_llama.train.pretrain(config)
    losses = [line["loss"] for line in read_log(Path(config.run_dir) / "log.jsonl") if "loss" in line]
    assert len(losses) > 10
    assert np.mean(losses[-3:]) < losses[0] - 0.5
    assert config.output_dir in capsys.readouterr().out
    assert (Path(config.run_dir) / "loss.png").read_bytes().startswith(b"\x89PNG")
    llama = load(config.output_dir)
    assert llama.model.args.max_seq_len == 512
    assert llama.compute_log_probs(["Article: x\nCategory:"], ["World"])[0] < 0


def test_interrupted_training_ends_in_the_same_weights(config: PretrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_llama.train.pretrain(config)
    broken = dataclasses.replace(config, run_dir=config.run_dir + "2", output_dir=config.output_dir + "2")
    write = Log.write

    def stop_at_step_8(log: Log, line: dict) -> None:
        if line["step"] == 8:
            raise KeyboardInterrupt
        write(log, line)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Log, "write", stop_at_step_8)
        tiny_llama.train.pretrain(broken)
    tiny_llama.train.pretrain(broken)
    steps = [line["step"] for line in read_log(Path(broken.run_dir) / "log.jsonl") if "loss" in line]
    assert steps == sorted(set(steps))
    whole, resumed = weights(config.output_dir), weights(broken.output_dir)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_other_options_do_not_resume(config: PretrainConfig) -> None:
    tiny_llama.train.pretrain(config)
    with pytest.raises(InputError, match=r"state\.pth: a run with other options \(learning_rate\)"):
        tiny_llama.train.pretrain(dataclasses.replace(config, learning_rate=1.0))


def test_missing_data_is_named(config: PretrainConfig) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file or folder \(--news_path"):
        tiny_llama.train.pretrain(dataclasses.replace(config, news_path="nowhere.csv"))


def test_learning_rate_warms_up_and_decays_to_its_minimum(config: PretrainConfig) -> None:
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(config.learning_rate / 2)
    assert max(rates) == pytest.approx(config.learning_rate)
    assert rates[-1] == pytest.approx(0.02 * config.learning_rate, rel=0.05)


@pytest.mark.slow
def test_two_processes_learn_the_same_as_one(config: PretrainConfig, run_script, tmp_path: Path) -> None:
    """With the same batches divided among two processes, the loss is the same up to the order of sums."""
    arguments = [f"--{name}={value}" for name, value in dataclasses.asdict(config).items() if name != "compile"]
    for processes in (1, 2):
        done = run_script(
            "run_pretrain_tiny_llama.py", *arguments, f"--run_dir={tmp_path / str(processes)}", processes=processes
        )
        assert done.returncode == 0, done.stderr
    logs = [[json.loads(line) for line in (tmp_path / f"{n}/log.jsonl").read_text().splitlines()] for n in (1, 2)]
    losses = [[line["loss"] for line in log if "loss" in line] for log in logs]
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)
