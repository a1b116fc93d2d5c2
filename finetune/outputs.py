"""The results of a run: predictions files, their meta files, baselines, metrics, summary."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from documents.chunks import Encoded
from documents.pages import Source, Splits, flat
from evaluate.predictions import prediction_row, write_predictions
from evaluate.reading import read_checked
from evaluate.report.panels import confusion
from evaluate.report.style import drawing
from evaluate.report.svg import save
from evaluate.result import Result
from finetune.baselines import majority, tfidf
from finetune.block_metrics import Scores, all_metrics, block_metrics, decisions
from preprocess.blocks import Block
from preprocess.files import write_bytes, write_json
from preprocess.prompts import Prompt
from training.figures import write_curves
from training.run_folder import comparable, environment


def device_name(model: nn.Module) -> str:
    """Name of the device that a model is on."""
    device = next(model.parameters()).device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def settings_of(config: Any) -> dict[str, Any]:
    """The settings that identify a method, without the seed: runs with other settings are not draws of the same."""
    settings = comparable(asdict(config))
    return settings | {"training": {key: value for key, value in settings["training"].items() if key != "seed"}}


def write_rows(
    folder: Path,
    method: str,
    source: Source,
    split: str,
    blocks: Sequence[Block],
    predictions: Sequence[str | None],
    meta: dict[str, Any],
    scores: Scores | None = None,
) -> None:
    """Write the predictions file of a method and its meta file, which has no k.

    Args:
        scores: Log-probabilities of each block over the label words; None for blocks that were not classified.
    """
    rows = []
    for number, (block, prediction) in enumerate(zip(blocks, predictions, strict=True)):
        example = Prompt(block.id, "", "", block.text, source.label_words, block.label_word, block.page)
        log_probs = None if scores is None else scores[number]
        rows.append(prediction_row(example, prediction, {} if log_probs is None else {"log_probs": log_probs}))
    about = {"method": method, "num_examples": len(rows)}
    seed = meta["configuration"]["training"]["seed"]
    data = {"dataset": source.table_name, "dataset_path": source.path, "split": split, "seed": seed}
    path = folder / f"outputs_{method}_{source.name}.json"
    write_predictions(path, rows, about | environment() | meta | {"prompt": data})


@dataclass(frozen=True)
class Results:
    """A trained model and its data.

    Args:
        method: Name in file names.
        split: Name of the predicted split in the data set.
        encoded: The splits as model input, by name.
        about: Entries of the meta file: checkpoint, settings, configuration.
    """

    folder: Path
    method: str
    source: Source
    split: str
    splits: Splits
    encoded: dict[str, Encoded]
    about: dict[str, Any]


def write_results(results: Results, predict: Callable[[Encoded], Scores]) -> dict[str, Any]:
    """Predict validation and test blocks, write the predictions and the baselines, and return the metrics."""
    label_words = results.source.label_words
    metrics: dict[str, Any] = {}
    for split in ("validation", "test"):
        encoded = results.encoded[split]
        began = time.perf_counter()
        scores = predict(encoded)
        seconds = round(time.perf_counter() - began, 3)
        predictions = decisions(scores, label_words)
        metrics[split] = all_metrics(predictions, encoded.blocks, label_words)
    tokens = sum(len(chunk.input_ids) for chunk in encoded.chunks)
    meta = results.about | {"seconds": seconds, "tokens_computed": tokens}
    write_rows(results.folder, results.method, results.source, results.split, encoded.blocks, predictions, meta, scores)
    metrics["baselines"] = write_baselines(results)
    metrics["data"] = counts(results.splits, results.encoded)
    return metrics


def write_baselines(results: Results) -> dict[str, Any]:
    """Write the baselines on the test blocks, and return their metrics."""
    train, test = results.encoded["train"].blocks, results.encoded["test"].blocks
    label_words = results.source.label_words
    configuration = results.about["configuration"]
    meta = {"settings": {"pages": configuration["pages"]}, "configuration": configuration}
    by_majority = majority(train, len(test), label_words)
    write_rows(results.folder, "majority", results.source, results.split, test, by_majority, meta)
    began = time.perf_counter()
    scores = tfidf(train, test, label_words)
    seconds = round(time.perf_counter() - began, 3)
    by_tfidf = decisions(scores, label_words)
    timed = meta | {"seconds": seconds}
    write_rows(results.folder, "tfidf", results.source, results.split, test, by_tfidf, timed, scores)
    by_name = {"majority": by_majority, "tfidf": by_tfidf}
    return {name: block_metrics(predictions, test, label_words) for name, predictions in by_name.items()}


def finish(folder: Path, metrics: dict[str, Any]) -> None:
    """Draw the figures, then write the metrics as the last file, which marks the run as finished."""
    write_curves(folder)
    for path in sorted(folder.glob("outputs_*.json")):
        if not path.name.endswith(".meta.json"):
            draw_confusion(path, folder)
    write_json(folder / "metrics.json", metrics)
    print(summary(metrics, folder))


def draw_confusion(path: Path, folder: Path) -> None:
    """Draw `folder`/figures/confusion_*.svg for a predictions file."""
    result = Result(read_checked(path))
    if result.confusion is not None:
        name = path.stem.replace("outputs", "confusion", 1)
        with drawing():
            write_bytes(folder / "figures" / f"{name}.svg", save(confusion(result.classes, result.confusion), "svg"))


def counts(splits: Splits, encoded: dict[str, Encoded]) -> dict[str, Any]:
    """Counts of pages, blocks and chunks, for the metrics.

    Args:
        encoded: Each split, by name.
    """
    sizes = {
        split: {
            "pages": len(getattr(splits, split)),
            "blocks": len(of_split.blocks),
            "chunks": len(of_split.chunks),
            "blocks_read": sum(len(chunk.reads) for chunk in of_split.chunks),
        }
        for split, of_split in encoded.items()
    }
    return sizes | {
        "test_dropped_without_text": splits.dropped,
        "pages_without_text": splits.blank,
        "train_pages_left_out": splits.leaked,
        "repaired": splits.repairs,
        "chosen_on_test": flat(splits.validation) == flat(splits.test),
    }


def summary(metrics: dict[str, Any], folder: Path) -> str:
    """A summary for the screen: repairs, best checkpoint, metrics, baselines."""
    data = metrics["data"]
    lines = [f"{what.replace('_', ' ')}: {number}" for what, number in data["repaired"].items() if number]
    if data["train_pages_left_out"]:
        lines.append(
            f"train pages left out because they are in the validation or test split: {data['train_pages_left_out']}"
        )
    lines.append(f"best checkpoint: step {metrics['best_step']} of {metrics['steps']}")
    if data["chosen_on_test"]:
        lines.append("warning: validation and test pages are the same, so the test metrics are too optimistic")
    for split in ("validation", "test"):
        values = metrics[split]
        entities = f", entity F1 {values['entity_f1']:.4f}" if "entity_f1" in values else ""
        lines.append(
            f"{split}: {data[split]['blocks']} blocks, accuracy {values['accuracy']:.4f}, "
            f"macro-F1 {values['macro_f1']:.4f}{entities}, unanswered {values['unanswered']}; "
            f"words: weighted F1 {values['words']['f1']:.4f}, accuracy {values['words']['accuracy']:.4f}"
        )
    for name, values in metrics["baselines"].items():
        lines.append(f"test, {name}: accuracy {values['accuracy']:.4f}, macro-F1 {values['macro_f1']:.4f}")
    return "\n".join([*lines, f"written to {folder}"])
