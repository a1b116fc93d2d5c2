"""Direct and channel: the label word with the highest log-probability.

direct    argmax over label words y of log p(y | prompt with the text x)
channel   argmax over label words y of log p(x | prompt with the label word y)    (Min et al. 2022, section 3)
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from evaluate.predictions import prediction_row
from evaluate.requests import Encoded
from evaluate.run import Run, RunOptions
from evaluate.runner import Examples, Outcome
from evaluate.session import Session
from llama.parallel import is_rank_0
from llama.scoring import Scoring
from preprocess.files import PathFlag
from preprocess.prompts import read_prompt_file

Score = tuple[float, float, int]  # see `sum_log_probs`


@dataclass(frozen=True)
class ScoreConfig:
    """Score every label word of every example of a prompt file.

    Args:
        data_path: The prompt file; default the sample of AG News.
        dtype: auto, float32, bfloat16, float16 or int8; auto is the checkpoint's own dtype on CUDA, float32 on a CPU.
            int8: the matrices of the blocks in 8 bits, all else in bfloat16 (requirements-int8.txt).
        score_eos: Include the end of sequence after the completion, as the original system does.
        run: The options that all methods share.
    """

    data_path: PathFlag = ""
    dtype: str = "auto"
    score_eos: bool = True
    run: RunOptions = field(default_factory=RunOptions)


def evaluate_direct(config: ScoreConfig) -> None:
    """Predict by p(y|x)."""
    with Session() as session:
        evaluate(config, "direct", session)


def evaluate_channel(config: ScoreConfig) -> None:
    """Predict by p(x|y)."""
    with Session() as session:
        evaluate(config, "channel", session)


def evaluate(config: ScoreConfig, method: str, session: Session) -> None:
    """Run direct or channel on a prompt file: read and check it, score, write. They differ only in their requests."""
    file = read_prompt_file(config.data_path or f"samples/inputs_{method}_ag_news.json", method)
    prompts = file.prompts
    run = Run(method, file, config.run, config.dtype, {"score_eos": config.score_eos}, config)
    if run.is_finished():
        return
    encoded = run.encode(prompts, method)
    with run.alone():

        def decide(example: int, scores: list[Score]) -> dict[str, Any]:
            prompt, details = prompts[example], label_scores(scores, config.score_eos)
            best = details["log_probs"].index(max(details["log_probs"]))
            return prediction_row(prompt, prompt.label_words[best], details)

        outcome, tokens = score(run, session, encoded, decide)
        if outcome is not None:
            ties = sum(row["log_probs"].count(max(row["log_probs"])) > 1 for row in outcome.rows)
            run.write(outcome, {"tokens_scored": tokens, "ties": ties, "cut": encoded.cut})


def score(
    run: Run, session: Session, encoded: Encoded, decide: Callable[[int, list[Score]], dict[str, Any]]
) -> tuple[Outcome | None, int]:
    """Score all requests.

    Args:
        decide: (example, the scores of its requests) -> its row.

    Returns:
        The outcome on rank 0, None elsewhere; and the number of scored tokens, including EOS.
    """
    requests = [request for example in encoded.requests for request in example]
    owners = [example for example, built in enumerate(encoded.requests) for _ in built]
    llama, launch = session.load(run)
    computation = Watched(llama.scoring(requests), llama.tokenizer.n_words)
    outcome = run.compute(computation, sum_log_probs, Examples(owners, decide), launch)
    return outcome, sum(len(request.target) + 1 for request in requests)


class Watched:
    """A scoring that warns after the first batch if tokenizer and weights do not seem to match.

    If they have the same number of tokens, no other check detects a mismatch. Real text is then less probable than
    under a uniform distribution.

    Args:
        computation: The scoring.
        n_words: Size of the vocabulary.
    """

    def __init__(self, computation: Scoring, n_words: int):
        self.computation = computation
        self.batches = computation.batches
        self.uniform = -math.log(n_words)
        self.seen = False

    def compute(self, number: int) -> list[tuple[int, torch.Tensor]]:
        """Compute batch `number`."""
        results = self.computation.compute(number)
        if self.seen:
            return results
        self.seen = True
        scored = torch.cat([log_probs[:-1] for _, log_probs in results])  # without EOS
        if len(scored) and scored.mean() < self.uniform and is_rank_0():
            tqdm.write(
                f"warning: the mean log-probability of a token is {scored.mean():.1f} nats, below the"
                f" {self.uniform:.1f} of a uniform distribution: tokenizer and weights may not match"
                " (--tokenizer_path)",
                file=sys.stderr,
            )
        return results


def sum_log_probs(log_probs: torch.Tensor) -> Score:
    """The score of one request: sum over its target tokens in float64, term of EOS, number of target tokens."""
    doubles = log_probs.double()
    return float(doubles[:-1].sum()), float(doubles[-1]), len(doubles) - 1


def label_scores(scores: Sequence[Score], score_eos: bool) -> dict[str, list]:
    """The log-probabilities of an example's label words, in nats.

    Args:
        scores: One for each label word.
        score_eos: Whether `log_probs` include EOS.
    """
    targets, ends, lengths = zip(*scores, strict=True)
    sums = [target + end for target, end in zip(targets, ends, strict=True)] if score_eos else targets
    return {"log_probs": list(sums), "eos_log_probs": list(ends), "num_tokens": list(lengths)}
