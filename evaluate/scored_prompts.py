"""Reads the predictions of direct or channel with their prompts, for calibration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluate.predictions import Predictions, check_numbers, read_predictions
from evaluate.reading import complete, difference_from
from preprocess.errors import InputError
from preprocess.prompts import Prompt, PromptFile, read_prompt_file, to_rows


@dataclass(frozen=True)
class ScoredPrompts:
    """Prompts and predictions to calibrate.

    Args:
        method: direct or channel.
        file: The prompts.
        predictions: One for each prompt, in the same order.
    """

    method: str
    file: PromptFile
    predictions: Predictions

    @property
    def prompts(self) -> list[Prompt]:
        return self.file.prompts

    @property
    def meta(self) -> dict[str, Any]:
        return self.predictions.meta or {}

    @property
    def score_eos(self) -> bool:
        """Whether the scores include the end of sequence; True if the meta file does not state it."""
        score_eos = (self.meta.get("settings") or {}).get("score_eos")
        return True if score_eos is None else score_eos


def read_scored_prompts(input_path: str, output_path: str, takes_channel: bool, normalize: str) -> ScoredPrompts:
    """Read both files and check them against each other.

    Args:
        input_path: The prompt file.
        output_path: The predictions file.
        takes_channel: Whether predictions of channel are accepted.
        normalize: none, tokens or characters.

    Raises:
        InputError: A file is missing or invalid, or the predictions are from other inputs or another method.
    """
    predictions = read_predictions(output_path, "--direct_output_path")
    method = "direct" if predictions.meta is None else predictions.meta.get("method")
    if method != "direct" and not (method == "channel" and takes_channel):
        expected = "direct or channel" if takes_channel else "direct (--method batch and prior also accept channel)"
        raise InputError(f"{output_path}: predictions of {method}, expected those of {expected}")
    if method == "channel" and normalize != "none":
        raise InputError(
            f"--normalize {normalize}: has no effect on predictions of channel ({output_path}), where all label words"
            " score the same text"
        )
    file = read_prompt_file(input_path, method, "--direct_input_path")
    prompts = file.prompts
    mismatch = f"{output_path}: does not match {input_path}"
    if predictions.meta is not None and predictions.meta.get("prompt_sha256") != file.sha256:
        raise InputError(f"{mismatch}: the hashes differ; it was made from {predictions.meta.get('prompt_path')}")
    rows = to_rows(prompts)
    differs = difference_from(predictions.rows, rows, Path(input_path))
    if differs is not None:
        raise InputError(f"{mismatch}: {differs}")
    complete(predictions, rows)
    for number, (prompt, row) in enumerate(zip(prompts, predictions.rows, strict=True)):
        words = list(prompt.label_words)
        if row["label_words"] != words:
            raise InputError(f"{mismatch}: row {number} has the label words {row['label_words']}, expected {words}")
        for field in ("log_probs", "num_tokens") if normalize == "tokens" else ("log_probs",):
            check_numbers(row, field, len(words), f"{output_path}: row {number}")
    return ScoredPrompts(method, file, predictions)
