"""Lightning's loop with a tiny classifier: order, steps, logs, checkpoints, resuming."""

import csv
import logging
import re
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")

from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from transformers.modeling_outputs import TokenClassifierOutput

from documents.chunks import Chunk, Encoded, collate
from finetune.block_metrics import block_metrics, decisions
from finetune.layoutlmv3.modules import ChunkData, TokenClassifier
from finetune.predicting import predict_scores
from finetune.training import TrainingOptions
from preprocess.blocks import LABEL_WORDS, Block
from preprocess.errors import InputError
from training.lightning import PROCESSES, LightningOptions, LogCsv, make_trainer, quiet_lightning, train
from training.modules import Batches

BLOCKS = [Block(f"p-{n}", "text", LABEL_WORDS[n % 3], (0, 0, 1, 1), "p", "", 1) for n in range(7)]
ENCODED = Encoded([Chunk([1, 5 + n % 3, 40 + n], [(2, n)]) for n in range(7)], BLOCKS, LABEL_WORDS)
OPTIONS = TrainingOptions(steps=9, eval_steps=4, logging_steps=2, learning_rate=1e-2)


class Small(nn.Module):
    """Embeddings of each token and the previous one, with dropout."""

    def __init__(self):
        super().__init__()
        self.embedding, self.dropout, self.head = nn.Embedding(64, 16), nn.Dropout(0.2), nn.Linear(32, 11)

    def forward(self, input_ids, attention_mask):
        hidden = self.embedding(input_ids) * attention_mask[..., None]
        both = torch.cat([hidden, hidden.roll(1, 1)], -1)
        return TokenClassifierOutput(logits=self.head(self.dropout(both)))


@pytest.fixture(autouse=True)
def quiet():
    """Restores the handler of SIGINT, which Lightning sets to ignore after an interruption."""
    quiet_lightning()
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.INFO)


def run(folder: Path, options: TrainingOptions = OPTIONS, *callbacks: Callback):
    """(module with the best weights, entries of the metrics, Trainer) of a run in `folder`."""
    seed_everything(options.seed, verbose=False)
    module = TokenClassifier(Small(), options, ENCODED)
    trainer = make_trainer(options, LightningOptions(accelerator="cpu"), folder, False, options.best_by, "max")
    trainer.callbacks.extend(callbacks)
    found = train(trainer, module, ChunkData(ENCODED, ENCODED, collate, options, 0), folder)
    return module, found, trainer


def log_of(folder: Path) -> dict[int, dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return {int(row["step"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize("world", [1, 2, 3])
def test_batches_are_passes_over_all_chunks(world):
    """All processes together draw each chunk once per pass, and each pass has its own order."""
    parts = [list(Batches(list(range(7)), 2, 12, 5, rank, world, 0)) for rank in range(world)]
    batches = [batch for group in zip(*parts, strict=True) for batch in group]
    passes = [[chunk for batch in batches[start : start + 4] for chunk in batch] for start in range(0, len(batches), 4)]
    assert len(passes) == 3 * world
    assert all(sorted(found) == list(range(7)) for found in passes)
    assert len({tuple(found) for found in passes}) > 1
    for rank, part in enumerate(parts):
        assert list(Batches(list(range(7)), 2, 12, 5, rank, world, 5)) == part[5:]
        assert len(Batches(list(range(7)), 2, 12, 5, rank, world, 5)) == 12


@pytest.mark.parametrize("world", [1, 2, 3, 9])
def test_processes_validate_equally_many_batches(world):
    """They wait for each other at each batch. Together they read all chunks, even if there are fewer than processes."""
    lists = []
    for rank in range(world):
        data = ChunkData(ENCODED, ENCODED, collate, OPTIONS, 0)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world)
        lists.append([batch["chunk"].tolist() for batch in data.val_dataloader()])
    assert len({len(batches) for batches in lists}) == 1
    assert {chunk for batches in lists for batch in batches for chunk in batch} == set(range(7))


def test_loss_of_validation_is_that_of_a_block(tmp_path):
    module, _, _ = run(tmp_path, replace(OPTIONS, eval_steps=9))
    scores = predict_scores(module.model, ENCODED, collate, 2)
    losses = [-found[LABEL_WORDS.index(block.label_word)] for found, block in zip(scores, BLOCKS, strict=True)]
    assert float(log_of(tmp_path)[9]["eval_loss"]) == pytest.approx(sum(losses) / 7, rel=1e-5)


def test_learning_rate_is_above_zero_until_the_end(tmp_path):
    """The original's schedule had 74 steps, but 375 were run, so the rate was 0 for the last 301."""
    for schedule in ("linear", "cosine"):
        folder = tmp_path / schedule
        run(folder, replace(OPTIONS, steps=20, logging_steps=1, schedule=schedule))
        rates = [float(row["learning_rate"]) for row in log_of(folder).values()]
        assert len(rates) == 20
        assert rates[2] == max(rates) == pytest.approx(1e-2)  # two steps warm up
        assert all(rate > 0 for rate in rates[1:])
        assert rates[2:] == sorted(rates[2:], reverse=True)


def test_logs(tmp_path):
    _, found, trainer = run(tmp_path)
    rows = log_of(tmp_path)
    assert list(rows) == [2, 4, 6, 8, 9]
    assert [step for step, row in rows.items() if row["eval_macro_f1"]] == [4, 8, 9]
    assert all(float(rows[step]["loss"]) > 0 for step in (2, 4, 6, 8))
    assert found["steps"] == 9
    assert found["training_seconds"] == float(rows[9]["seconds"]) > 0
    scalars = EventAccumulator(str(tmp_path / "tensorboard"))
    scalars.Reload()
    assert {"train/loss", "train/learning_rate", "eval/loss", "eval/accuracy", "eval/macro_f1"} <= set(
        scalars.Tags()["scalars"]
    )
    assert trainer.lightning_module.hparams["learning_rate"] == 1e-2


def test_the_best_checkpoint_is_in_use_at_the_end(tmp_path):
    module, found, _ = run(tmp_path, replace(OPTIONS, learning_rate=0.3, eval_steps=1, steps=12))
    rows = log_of(tmp_path)
    best = max(rows, key=lambda step: (float(rows[step]["eval_macro_f1"]), -step))
    assert found["best_step"] == best
    scores = predict_scores(module.model, ENCODED, collate, 2)
    assert block_metrics(decisions(scores, LABEL_WORDS), BLOCKS, LABEL_WORDS)["macro_f1"] == pytest.approx(
        float(rows[best]["eval_macro_f1"])
    )
    again = TokenClassifier(Small(), OPTIONS, ENCODED)
    again.load_state_dict(torch.load(tmp_path / "checkpoints/best.ckpt", weights_only=True)["state_dict"])
    torch.testing.assert_close(torch.tensor(predict_scores(again.model, ENCODED, collate, 3)), torch.tensor(scores))


def test_passes_are_the_default_of_evaluation(tmp_path):
    run(tmp_path, replace(OPTIONS, steps=None, epochs=2.5, eval_steps=None, batch_size=3))
    rows = log_of(tmp_path)
    assert [step for step, row in rows.items() if row["eval_macro_f1"]] == [3, 6, 8]


def test_a_run_without_improvement_stops(tmp_path):
    _, found, _ = run(tmp_path, replace(OPTIONS, learning_rate=1e-12, steps=100, eval_steps=2, patience=2))
    assert (found["steps"], found["best_step"]) == (6, 2)


class Stop(Callback):
    def __init__(self, step: int):
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("accumulated", [1, 3])
@pytest.mark.parametrize("stop", [5, 8])
def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path, capsys, stop, accumulated):
    """Bit-identical weights in spite of dropout: in the middle of a pass, and just before an evaluation."""
    options = replace(OPTIONS, gradient_accumulation_steps=accumulated)
    whole, first, _ = run(tmp_path / "whole", options)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", options, Stop(stop))
    assert "last.ckpt: saved; the same command resumes from it" in capsys.readouterr().err
    resumed, second, _ = run(tmp_path / "stopped", options)
    assert "last.ckpt: resuming from" in capsys.readouterr().out
    rows, again = log_of(tmp_path / "whole"), log_of(tmp_path / "stopped")
    assert [row | {"seconds": ""} for row in rows.values()] == [row | {"seconds": ""} for row in again.values()]
    assert first | {"training_seconds": 0} == second | {"training_seconds": 0}
    assert all(torch.equal(one, resumed.state_dict()[name]) for name, one in whole.state_dict().items())


def test_a_stop_before_the_first_checkpoint_keeps_nothing(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, OPTIONS, Stop(2))
    assert "saved" not in capsys.readouterr().err


def test_accumulated_batches_are_those_of_one_process_after_another(tmp_path):
    """With accumulation, the run draws this many batches per step."""

    class Drawn(Callback):
        def __init__(self):
            self.blocks = Counter()

        def on_train_batch_start(self, trainer, module, batch, number):
            self.blocks.update(batch["chunk"].tolist())

    drawn = Drawn()
    _, found, _ = run(tmp_path, replace(OPTIONS, steps=4, gradient_accumulation_steps=2, batch_size=1), drawn)
    assert found["steps"] == 4
    assert sum(drawn.blocks.values()) == 8
    assert max(drawn.blocks.values()) == 2


READS = [[(1 + place, n) for place in range(1 + n % 2)] for n in range(6)]  # chunks of one block and of two
UNEVEN = Encoded([Chunk([1, 5 + n % 3, 40 + n], READS[n]) for n in range(6)], BLOCKS, LABEL_WORDS)


def trained(folder, size, accumulated, steps=5, logging_steps=1):
    """(weights, log) without dropout, in float64, so that the order of sums has no effect in float32."""
    options = replace(
        OPTIONS,
        steps=steps,
        batch_size=size,
        gradient_accumulation_steps=accumulated,
        eval_steps=steps,
        logging_steps=logging_steps,
    )
    seed_everything(0, verbose=False)
    model = Small().double()
    model.dropout.p = 0.0
    module = TokenClassifier(model, options, UNEVEN)
    trainer = make_trainer(options, LightningOptions(accelerator="cpu"), folder, False, options.best_by, "max")
    train(trainer, module, ChunkData(UNEVEN, UNEVEN, collate, options, 0), folder)
    kept = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return {name: weight.float() for name, weight in kept.items()}, log_of(folder)


@pytest.mark.parametrize(("size", "accumulated"), [(1, 2), (1, 3), (1, 6), (3, 2), (2, 3)])
def test_accumulated_batches_make_the_same_steps(size, accumulated, tmp_path):
    """Bit-identical: a step is the mean over its blocks, for any division into batches."""
    whole, log = trained(tmp_path / "whole", size * accumulated, 1)
    weights, found = trained(tmp_path / "parts", size, accumulated)
    differences = {name: (weights[name] - whole[name]).abs().max().item() for name in whole}
    assert set(differences.values()) == {0.0}
    lost = [[float(row["loss"]) for row in rows.values() if row["loss"]] for rows in (found, log)]
    assert lost[0] == pytest.approx(lost[1])
    assert len(lost[0]) == 5


def test_the_loss_in_the_log_is_the_mean_since_the_last_row(tmp_path):
    """In log.csv and in TensorBoard."""
    _, each = trained(tmp_path / "each", 1, 2, steps=6)
    _, rows = trained(tmp_path / "rows", 1, 2, steps=6, logging_steps=3)
    expected = [sum(float(each[step]["loss"]) for step in steps) / 3 for steps in ((1, 2, 3), (4, 5, 6))]
    assert [float(rows[step]["loss"]) for step in (3, 6)] == pytest.approx(expected)
    events = EventAccumulator(str(tmp_path / "rows/tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(expected)


def test_dropout_is_at_work(tmp_path, monkeypatch):
    """A loaded model has dropout turned off, which Lightning does not change. In validation there is none."""
    seen = {True: 0, False: 0}

    class Watched(Small):
        def forward(self, **batch):
            assert self.dropout.training == torch.is_grad_enabled()
            seen[self.dropout.training] += 1
            return super().forward(**batch)

    monkeypatch.setitem(globals(), "Small", lambda: Watched().eval())
    run(tmp_path)
    assert seen == {True: 9, False: 3 * 4}


@pytest.mark.parametrize("options", [{"precision": "3-bits"}, {"accelerator": "abacus"}, {"accelerator": "tpu"}])
def test_refused_devices(tmp_path, options):
    with pytest.raises(InputError, match="--accelerator, --devices, --strategy or --precision: "):
        make_trainer(OPTIONS, LightningOptions(**options), tmp_path)


def test_refused_strategy():
    with pytest.raises(InputError, match="--strategy ddp_spawn: expected auto or ddp"):
        LightningOptions(strategy="ddp_spawn")


@pytest.mark.parametrize("devices", ["0", "many", "", "-2", "1.5", "1,1", "0,", "[0]", str(PROCESSES + 1), "9" * 400])
def test_too_many_devices(devices):
    """Each would be a process, until the machine runs out of memory."""
    with pytest.raises(
        InputError, match=rf"^--devices {re.escape(devices[:40])}: expected how many \(1 to {PROCESSES} on"
    ):
        LightningOptions(devices=devices)


@pytest.mark.parametrize("workers", [-1, 10**6, 2**63 - 1])
def test_refused_workers(workers):
    with pytest.raises(InputError, match=f"--num_workers {workers}: expected 0 to {PROCESSES} on this machine"):
        LightningOptions(num_workers=workers)


def test_checkpoints_contain_the_log(tmp_path):
    log = LogCsv(tmp_path / "log.csv")
    log.load_state_dict({"history": [{"step": 3, "seconds": 2.0}]})
    assert log.state_dict() == {"history": [{"step": 3, "seconds": 2.0}]}
