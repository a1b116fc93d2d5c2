"""Contextual calibration of the direct method (Zhao et al. 2021, section 4).

A content-free text, "N/A", shows how much the prompt alone favours each label word. The calibrated score of label word
i is

    log p(i | x) - log p(i | N/A)

which is the paper's W p with W = diag(1 / p_cf) and b = 0, in log space: a sum of log-probabilities can be below what
exp can express.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evaluate.predictions import Predictions, prediction_row, read_predictions, sha256
from evaluate.requests import encode
from evaluate.run import Run, RunOptions, default_output
from evaluate.scoring import Score, label_scores, sum_log_probs
from evaluate.work import Examples
from llama.checkpoint import find_folder
from llama.parallel import finish
from preprocess.errors import InputError
from preprocess.prompts import Prompt, read_prompts

CONTENT_FREE = "N/A"


@dataclass(frozen=True)
class CalibrateConfig:
    """Calibrate the output of run_evaluate_direct_llama.py; only content-free prompts are scored.

    dtype and score_eos are those of the direct output.

    Args:
        direct_input_path: The prompt file of the direct method.
        direct_output_path: Its predictions; default where the direct script puts them.
        run: The options that all methods share.
    """

    direct_input_path: str = "samples/inputs_direct_ag_news.json"
    direct_output_path: str = ""
    run: RunOptions = field(default_factory=RunOptions)


def evaluate_direct_calibrate(config: CalibrateConfig) -> None:
    """Predict by p(y|x) / p(y|N/A)."""
    prompts = read_prompts(config.direct_input_path, "direct", "--direct_input_path")
    direct = read_direct(config, prompts)
    meta = direct.meta or {}
    settings = {"score_eos": meta.get("settings", {}).get("score_eos", True), "content_free": [CONTENT_FREE]}
    direct_hash = {"direct_sha256": sha256(direct.path)}
    run = Run(
        "direct_calibrate",
        config.direct_input_path,
        config.run,
        meta.get("dtype", "auto"),
        settings | direct_hash,
        config,
    )
    fingerprint = meta.get("fingerprint", run.identity["fingerprint"])
    if fingerprint != run.identity["fingerprint"]:
        raise InputError(
            f"--ckpt_dir {run.checkpoint.folder}: fingerprint {run.identity['fingerprint'][:12]}…,"
            f" {direct.path} was made with {fingerprint[:12]}… ({meta.get('checkpoint')})"
        )
    free = {without_text(prompt): replace(prompt, text=CONTENT_FREE) for prompt in prompts}
    encoded = encode(list(free.values()), "direct", run.checkpoint.tokenizer, run.max_seq_len, run.prompt_path)
    if encoded.cut:
        raise InputError(
            f"{run.prompt_path}: id {encoded.cut[0]!r} leaves no room for {CONTENT_FREE!r} (--max_seq_len)"
        )
    if run.is_finished():
        return
    with run.alone():
        llama = run.load()
        requests = [request for example in encoded.requests for request in example]
        owners = [example for example, built in enumerate(encoded.requests) for _ in built]

        def decide(_: int, scores: list[Score]) -> dict[str, Any]:
            return label_scores(scores, settings["score_eos"])

        outcome = run.compute(llama.scoring(requests), sum_log_probs, Examples(owners, decide))
        if outcome is not None:
            bias = dict(zip(free, outcome.rows, strict=True))
            rows, ties = [], 0
            for prompt, row in zip(prompts, direct.rows, strict=True):
                score = calibrate(row["log_probs"], bias[without_text(prompt)]["log_probs"])
                ties += score.count(max(score)) > 1
                prediction = prompt.label_words[score.index(max(score))]
                rows.append(prediction_row(prompt, prediction, {"score": score}))
            tokens = sum(len(request.target) + 1 for request in requests)
            counters = {"ties": ties, "cut": meta.get("cut"), "content_free": outcome.rows}
            # What direct took is part of this result; without its meta file nobody knows.
            counters["tokens_scored"] = tokens + meta["tokens_scored"] if "tokens_scored" in meta else None
            seconds = outcome.seconds + meta["seconds"] if "seconds" in meta else None
            run.write(rows, seconds, counters)
        finish()


def read_direct(config: CalibrateConfig, prompts: Sequence[Prompt]) -> Predictions:
    """The direct output, checked against the prompts it has to belong to.

    Raises:
        InputError: Missing, without log-probabilities, or of other inputs.
    """
    path = config.direct_output_path
    if not path:
        checkpoint = find_folder(config.run.ckpt_dir).resolve().name
        path = default_output("direct", Path(config.direct_input_path), checkpoint)
    direct = read_predictions(path, "--direct_output_path")
    belongs = f"{path}: does not belong to {config.direct_input_path}"
    if direct.meta is not None and direct.meta.get("method") != "direct":
        raise InputError(f"{path}: is an output of {direct.meta.get('method')}, expected one of direct")
    if direct.meta is not None and direct.meta.get("prompt_sha256") != sha256(config.direct_input_path):
        raise InputError(f"{belongs}: the hashes differ; it was made from {direct.meta.get('prompt_path')}")
    if len(direct.rows) != len(prompts):
        raise InputError(f"{belongs}: {len(direct.rows)} rows for {len(prompts)} examples")
    for number, (prompt, row) in enumerate(zip(prompts, direct.rows, strict=True)):
        if row["id"] != prompt.id or row.get("label_words", list(prompt.label_words)) != list(prompt.label_words):
            raise InputError(
                f"{belongs}: row {number} is {row['id']!r} with {row.get('label_words')}, not {prompt.id!r}"
            )
        scores = row.get("log_probs")
        if not isinstance(scores, list) or len(scores) != len(prompt.label_words):
            raise InputError(f"{path}: row {number}: expected 'log_probs', one a label word")
        if not all(isinstance(score, float | int) and math.isfinite(score) for score in scores):
            raise InputError(f"{path}: row {number}: 'log_probs' holds something other than finite numbers")
    return direct


def without_text(prompt: Prompt) -> tuple[str, str, tuple[str, ...]]:
    """What a content-free score depends on: the prompt without its text."""
    return prompt.prompt, prompt.completion, prompt.label_words


def calibrate(log_probs: Sequence[float], bias: Sequence[float]) -> list[float]:
    """log p_i - log p_cf,i, shifted so that logsumexp is 0."""
    score = [log_prob - free for log_prob, free in zip(log_probs, bias, strict=True)]
    top = max(score)
    total = top + math.log(sum(math.exp(value - top) for value in score))
    return [value - total for value in score]
