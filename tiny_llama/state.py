"""The files of a training run: log, state to resume from, and at its end the checkpoint and the loss curve."""

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llama import Transformer
from llama.formats.meta import Params
from preprocess.errors import InputError
from preprocess.files import write_bytes, write_json
from preprocess.prompts import METHODS


class Log:
    """The log, one JSON line per step. On resuming, lines of later steps are dropped."""

    def __init__(self, path: Path, done: int, rank: int):
        self.path, self.rank = path, rank
        if rank == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [line for line in read_log(path) if line["step"] <= done] if path.exists() else []
            write_bytes(path, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def write(self, line: dict) -> None:
        """Append a line."""
        if self.rank == 0:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")


def read_log(path: Path) -> list[dict]:
    """The lines of a log, except one without a newline, which was cut off when the run was killed."""
    *lines, _ = path.read_text().split("\n")
    return [json.loads(line) for line in lines]


def save_state(
    model: Transformer, optimizer: torch.optim.Optimizer, step: int, path: Path, config: dict[str, Any]
) -> None:
    """Save all that is needed to resume. The file is renamed into place, so that a kill leaves the previous state."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "config": config}
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def resume(model: Transformer, optimizer: torch.optim.Optimizer, path: Path, config: dict[str, Any]) -> int:
    """Load the state of an earlier run, if there is one, and return the number of completed steps.

    Raises:
        InputError: The earlier run had other options. Only the number of epochs may differ.
    """
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    differing = [key for key, value in config.items() if state["config"].get(key) != value and key != "epochs"]
    if differing:
        raise InputError(
            f"{path}: a run with other options ({', '.join(differing)}); remove it or choose another --run_dir"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def write_checkpoint(model: Transformer, params: Params, tokenizer: Path, folder: Path) -> None:
    """Write the three files of Meta's format, with weights in float16 like LLaMA's."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {key: value for key, value in asdict(params).items() if value not in (None, False)}
    write_json(folder / "params.json", fields)
    weights = io.BytesIO()
    torch.save({name: weight.half() for name, weight in model.state_dict().items()}, weights)
    write_bytes(folder / "consolidated.00.pth", weights.getvalue())
    write_bytes(folder / "tokenizer.model", tokenizer.read_bytes())


def draw_loss(log: Path, path: Path) -> None:
    """Draw the loss and the held-out accuracies over the steps as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = read_log(log)
    losses = np.array([(line["step"], line["loss"]) for line in lines if "loss" in line])
    evaluations = [line for line in lines if "direct" in line]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot(*losses.T, color="0.8", linewidth=0.6)
    window = min(50, len(losses))
    smooth = np.convolve(losses[:, 1], np.ones(window) / window, mode="valid")
    left.plot(losses[window - 1 :, 0], smooth, color="C0")
    left.set(xlabel="step", ylabel="loss, nats per token (labels weighted)")
    for method in METHODS:
        accuracies = [line[method] for line in evaluations]
        right.plot([line["step"] for line in evaluations], accuracies, marker=".", label=method)
    right.set(xlabel="step", ylabel="accuracy, held-out training rows", ylim=(0, 1))
    right.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
