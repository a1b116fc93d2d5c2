"""Calibration: corrects the label distributions of direct or channel for the model's bias.

Methods that use content-free prompts score only these; the others need no model. `llama.corrections` contains the
formulas.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluate.content_free import Key, by_id, premises, random_texts, read_texts, with_texts, without_text
from evaluate.predictions import (
    finished,
    prediction_row,
    read_meta,
    write_predictions,
)
from evaluate.results_folder import checkpoint_name, default_output
from evaluate.run import Run, RunOptions, summary
from evaluate.runner import Outcome
from evaluate.scored_prompts import ScoredPrompts, read_scored_prompts
from evaluate.scoring import label_scores, score
from evaluate.session import Session
from llama.corrections import divide, divide_by_batch, match_prior, normalise
from llama.parallel import is_rank_0
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable, read_json
from preprocess.prompts import Prompt
from preprocess.schema import PROMPT_META

SCORED = ("contextual", "domain", "pmi")  # methods that need the model
OF_CHANNEL = ("batch", "prior")  # methods of channel too, which has no content-free prompts and one text
METHODS = (*SCORED, *OF_CHANNEL, "none")
CORRECTIONS: dict[str, dict[str, str]] = {  # the name of each correction in a sweep, and its options
    **{method: {"method": method} for method in (*SCORED, *OF_CHANNEL)},
    "tokens": {"method": "none", "normalize": "tokens"},
    "characters": {"method": "none", "normalize": "characters"},
}

OWNERS = {  # the one method that each flag is for
    "content_free": "contextual",
    "premise": "pmi",
    "seed": "domain",
    "batch_mean": "batch",
    "batch_examples": "batch",
    "prior": "prior",
}


@dataclass(frozen=True)
class CalibrateConfig:
    """Calibrate the predictions of run_evaluate_direct_llama.py, or with batch and prior those of
    run_evaluate_channel_llama.py. Only content-free prompts are scored.

    dtype and score_eos are those of these predictions.

    Args:
        direct_input_path: Prompt file of the direct method (or of channel).
        direct_output_path: Its predictions file; default the default output path of the direct script.
        method: contextual, domain and pmi divide by the distribution of content-free texts, of random words, or of the
            end of the prompt alone; batch divides by the mean distribution of all examples; prior reweights the classes
            so that this mean is the given prior; none changes nothing (for --normalize). batch and prior assume that
            the class distribution is known.
        content_free: For contextual: a JSON list of texts; default ["N/A"].
        premise: For pmi: the text that replaces the prompt; default the part after its last {text}.
        seed: For domain: random seed of the words.
        batch_mean: For batch: mean of the probability, or log for the mean of log-probabilities.
        batch_examples: For batch: number of examples in the mean, the first in the order of ids; 0 uses all.
        prior: For prior: uniform, train (class distribution of the train split) or a JSON file with a number for each
            label word.
        normalize: tokens or characters divides each label word's log-probability by its length first; none does not.
        run: The options that all methods share.
    """

    direct_input_path: PathFlag = "samples/inputs_direct_ag_news.json"
    direct_output_path: PathFlag = ""
    method: str = "contextual"
    content_free: PathFlag = ""
    premise: str = ""
    seed: int = 42
    batch_mean: str = "probability"
    batch_examples: int = 0
    prior: PathFlag = "uniform"
    normalize: str = "none"
    run: RunOptions = field(default_factory=RunOptions)

    def __post_init__(self) -> None:
        choices = {"method": METHODS, "batch_mean": ("probability", "log"), "normalize": tuple(UNITS)}
        for flag, allowed in choices.items():
            if getattr(self, flag) not in allowed:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected {', '.join(allowed)}")
        for flag in ("seed", "batch_examples"):
            if getattr(self, flag) < 0:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 0 or more")
        if self.method == "none" and self.normalize == "none":
            raise InputError("--method none: with --normalize none it changes nothing")
        for flag, method in OWNERS.items():
            if self.method != method and getattr(self, flag) != getattr(type(self), flag):  # not the default
                raise InputError(f"--{flag}: only for --method {method}, not {self.method}")


# The divisor of a label word's log-probability, given its number of scored tokens and its text.
UNITS: dict[str, Callable[[int, str], int]] = {
    "none": lambda tokens, word: 1,
    "tokens": lambda tokens, word: tokens,
    "characters": lambda tokens, word: len(word),
}


def evaluate_direct_calibrate(config: CalibrateConfig) -> None:
    """Calibrate a predictions file."""
    with Session() as session:
        calibrate(config, session)


def calibrate(config: CalibrateConfig, session: Session) -> None:
    """Calibrate a predictions file: read and check it, score content-free prompts if needed, correct, write."""
    checkpoint = checkpoint_name(config.run.ckpt_dir)
    output_path = config.direct_output_path or default_output("direct", Path(config.direct_input_path), checkpoint)
    scored = read_scored_prompts(config.direct_input_path, output_path, config.method not in SCORED, config.normalize)
    settings = {"score_eos": scored.score_eos, "calibration": config.method, "normalize": config.normalize}
    settings[f"{scored.method}_sha256"] = scored.predictions.sha256
    method = f"{scored.method}_calibrate"
    kind = "_".join(
        [method, *(part for part in (config.method, config.normalize) if part not in ("contextual", "none"))]
    )
    path = config.run.output_path or default_output(kind, Path(config.direct_input_path), checkpoint)
    for flag, read in (("direct_input_path", config.direct_input_path), ("direct_output_path", output_path)):
        if Path(path).resolve() == Path(read).resolve():
            raise InputError(f"--output_path {path}: is the --{flag}, which would be lost")
    if config.method in SCORED:
        calibrate_with_model(config, session, scored, method, path, settings)
    elif is_rank_0():
        calibrate_alone(config, scored, method, Path(path), settings)


def calibrate_with_model(
    config: CalibrateConfig,
    session: Session,
    scored: ScoredPrompts,
    method: str,
    path: str,
    settings: dict[str, Any],
) -> None:
    """Calibrate by the scores of content-free prompts."""
    free, own = free_prompts(config, scored.prompts)
    options, meta = replace(config.run, output_path=path), scored.meta
    run = Run(method, scored.file, options, meta.get("dtype") or "auto", settings | own, config)
    fingerprint = meta.get("fingerprint") or run.identity["fingerprint"]
    if fingerprint != run.identity["fingerprint"]:
        raise InputError(
            f"--ckpt_dir {run.checkpoint.folder}: fingerprint {run.identity['fingerprint'][:12]}…, but"
            f" {scored.predictions.path} was made with {fingerprint[:12]}… ({meta.get('checkpoint')});"
            " the same weights in another format have another fingerprint"
        )
    flat = [prompt for prompts in free.values() for prompt in prompts]
    if run.is_finished():
        return
    encoded = run.encode(flat, "direct")
    if encoded.cut and config.method != "domain":  # random words may be cut
        text = next(prompt.text for prompt in flat if prompt.id == encoded.cut[0])
        raise InputError(f"{run.prompt_path}: id {encoded.cut[0]!r} is too long: {text!r} does not fit (--max_seq_len)")
    with run.alone():
        outcome, tokens = score(run, session, encoded, lambda _, scores: label_scores(scores, scored.score_eos))
        if outcome is not None:
            free_scores = iter(outcome.rows)
            bias = {key: [next(free_scores) for _ in prompts] for key, prompts in free.items()}
            rows, ties = corrected_rows(config, scored, bias)

            def with_direct(own: float, key: str) -> Any:
                """A counter with that of direct added; None if direct has no meta file."""
                return None if meta.get(key) is None else own + meta[key]

            seconds = with_direct(outcome.seconds, "seconds")
            whole = Outcome(rows, seconds, with_direct(outcome.tokens_computed, "tokens_computed"))
            counters = {"ties": ties, "cut": meta.get("cut"), "content_free": outcome.rows}
            run.write(whole, counters | {"tokens_scored": with_direct(tokens, "tokens_scored")})


def calibrate_alone(
    config: CalibrateConfig, scored: ScoredPrompts, method: str, path: Path, settings: dict[str, Any]
) -> None:
    """Calibrate by the examples' own distributions, without a model. The meta file keeps the entries of direct's."""
    check_writable(path, "--output_path")
    prompt_meta = read_meta(Path(config.direct_input_path), "--direct_input_path", PROMPT_META)
    own: dict[str, Any] = {"batch_mean": config.batch_mean, "batch_examples": config.batch_examples}
    if config.method == "prior":
        words = [word for prompt in scored.prompts for word in prompt.label_words]
        own = {"prior": read_prior(config, dict.fromkeys(words), prompt_meta)}
    identity = {
        "method": method,
        "prompt_sha256": scored.file.sha256,
        "fingerprint": scored.meta.get("fingerprint"),
        "settings": settings | (own if config.method != "none" else {}),
    }
    if finished(path, identity, config.run.overwrite, begun=False):
        print(f"{path}: already finished with the same inputs and options; --overwrite repeats it")
        return
    rows, ties = corrected_rows(config, scored, {}, own.get("prior"))
    own_meta = {
        "configuration": asdict(config),
        "num_examples": len(rows),
        "prompt_path": config.direct_input_path,
        "prompt": prompt_meta,
        "ties": ties,
    }
    write_predictions(path, rows, scored.meta | identity | own_meta)
    print(summary(rows, scored.meta.get("seconds"), {"ties": ties, "cut": scored.meta.get("cut")}, path))


def free_prompts(config: CalibrateConfig, prompts: Sequence[Prompt]) -> tuple[dict[Key, list[Prompt]], dict[str, Any]]:
    """The content-free prompts to score for each distinct prompt, and the settings that they depend on."""
    if config.method == "pmi":
        return premises(prompts, config.premise, config.direct_input_path), {"premise": config.premise or None}
    if config.method == "domain":
        return with_texts(prompts, random_texts(prompts, config.seed)), {"seed": config.seed}
    texts = read_texts(config.content_free)
    return with_texts(prompts, texts), {"content_free": texts}


def corrected_rows(
    config: CalibrateConfig,
    scored: ScoredPrompts,
    bias: dict[Key, list[dict[str, Any]]],
    prior: dict[str, float] | None = None,
) -> tuple[list[dict[str, Any]], int]:
    """The calibrated rows in the order of the examples, and the number of ties.

    Args:
        bias: For each distinct prompt the rows of its content-free prompts.
        prior: For each label word its probability, up to a common factor.
    """
    scores: list[list[float]] = [[] for _ in scored.prompts]
    of_one_kind: dict[Key | tuple[str, ...], list[int]] = {}
    for number in by_id(scored.prompts):  # independent of the order of the file
        prompt = scored.prompts[number]
        of_one_kind.setdefault(without_text(prompt) if bias else prompt.label_words, []).append(number)
    for kind, numbers in of_one_kind.items():
        words = scored.prompts[numbers[0]].label_words
        log_probs = per_unit(config, scored, [scored.predictions.rows[number] for number in numbers], words)
        if bias:
            corrected = divide(log_probs, per_unit(config, scored, bias[kind], words))
        elif config.method == "batch":
            corrected = divide_by_batch(log_probs, config.batch_mean, config.batch_examples)
        elif prior is not None:
            shares = np.array([prior[word] for word in words])
            try:
                corrected = match_prior(log_probs, shares / shares.sum())
            except ValueError as error:
                raise InputError(f"--method prior: {error}") from None
        else:
            corrected = normalise(log_probs)
        for number, row in zip(numbers, corrected.tolist(), strict=True):
            scores[number] = row
    ties = sum(score.count(max(score)) > 1 for score in scores)
    rows = [
        prediction_row(prompt, prompt.label_words[score.index(max(score))], {"score": score})
        for prompt, score in zip(scored.prompts, scores, strict=True)
    ]
    return rows, ties


def per_unit(
    config: CalibrateConfig, scored: ScoredPrompts, rows: Sequence[dict[str, Any]], words: Sequence[str]
) -> np.ndarray:
    """log_probs of `rows` (N, C), divided by the tokens or characters of the label words with `--normalize`."""
    divisors = []
    for row in rows:
        tokens = row["num_tokens"] if config.normalize == "tokens" else [0] * len(words)
        divisors.append(
            [UNITS[config.normalize](n + scored.score_eos, word) for n, word in zip(tokens, words, strict=True)]
        )
    return np.array([row["log_probs"] for row in rows]) / np.array(divisors)


def read_prior(config: CalibrateConfig, words: Collection[str], prompt_meta: dict[str, Any] | None) -> dict[str, float]:
    """The prior: a positive number for each label word, not normalised.

    Raises:
        InputError: A label word has none, or a file has one for another word.
    """
    if config.prior == "uniform":
        return dict.fromkeys(words, 1.0)
    if config.prior == "train":
        where, shares = f"{config.direct_input_path}: its meta file", (prompt_meta or {}).get("train_counts")
        if shares is not None and not any(shares.values()):
            raise InputError(f"{where}: the train split was not read (k = 0); --prior also takes a JSON file")
    else:
        where, shares = config.prior, read_json(Path(config.prior), "--prior")
        unknown = [word for word in shares if word not in words] if isinstance(shares, dict) else []
        if unknown:
            raise InputError(f"{where}: {unknown[0]!r} is no label word ({', '.join(words)}) (--prior)")
    for word in words:
        share = shares.get(word) if isinstance(shares, dict) else None
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share < math.inf:
            raise InputError(
                f"{where}: share of {word!r} is {share!r}, expected a number above 0 for each label word (--prior)"
            )
    return {word: float(shares[word]) for word in words}
