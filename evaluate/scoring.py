"""Direct and channel: the label word with the highest log-probability.

direct    argmax over label words y of log p(y | prompt with the text x)
channel   argmax over label words y of log p(x | prompt with the label word y)    (Min et al. 2022, section 3)
"""

import time
from dataclasses import dataclass, field

import torch

from evaluate.predictions import prediction_row
from evaluate.requests import encode
from evaluate.run import Progress, Run, RunOptions
from preprocess.prompts import read_prompts


@dataclass(frozen=True)
class ScoreConfig:
    """Score every label word for every example of a prompt file.

    Args:
        data_path: The prompt file; default the shipped sample of AG News.
        dtype: auto, float32, bfloat16 or float16; auto is the checkpoint's own on CUDA, float32 on a CPU.
        score_eos: Include the end of sequence after the completion, as the original system does.
        run: The options that all methods share.
    """

    data_path: str = ""
    dtype: str = "auto"
    score_eos: bool = True
    run: RunOptions = field(default_factory=RunOptions)


def evaluate_direct(config: ScoreConfig) -> None:
    """Predict by p(y|x)."""
    evaluate(config, "direct")


def evaluate_channel(config: ScoreConfig) -> None:
    """Predict by p(x|y)."""
    evaluate(config, "channel")


def evaluate(config: ScoreConfig, method: str) -> None:
    """Read, check, score, write. The methods differ in how their requests are built, and in nothing else."""
    data_path = config.data_path or f"samples/inputs_{method}_ag_news.json"
    prompts = read_prompts(data_path, method)
    run = Run(method, data_path, config.run, config.dtype, {"score_eos": config.score_eos}, config)
    encoded = encode(prompts, method, run.checkpoint.tokenizer, run.max_seq_len, run.prompt_path)
    if run.is_finished():
        return
    llama = run.load()
    requests = [request for example in encoded.requests for request in example]
    owners = [(example, word) for example, prompt in enumerate(prompts) for word in range(len(prompt.label_words))]
    scores = [[torch.empty(0)] * len(prompt.label_words) for prompt in prompts]
    missing = [len(prompt.label_words) for prompt in prompts]
    rows: list[dict] = [{} for _ in prompts]
    ties = 0
    begin = time.perf_counter()
    with Progress(len(prompts), method) as progress:
        for index, log_probs in llama.score(requests):
            example, word = owners[index]
            scores[example][word] = log_probs
            missing[example] -= 1
            if missing[example] == 0:
                details = sum_scores(scores[example], config.score_eos)
                best = max(details["log_probs"])
                ties += details["log_probs"].count(best) > 1
                prediction = prompts[example].label_words[details["log_probs"].index(best)]
                rows[example] = prediction_row(prompts[example], prediction, details)
                progress.add(prompts[example], prediction)
    seconds = time.perf_counter() - begin
    tokens = sum(len(request.target) + 1 for request in requests)
    run.write(rows, seconds, {"tokens_scored": tokens, "ties": ties, "cut": encoded.cut})


def sum_scores(scores: list[torch.Tensor], score_eos: bool) -> dict[str, list]:
    """The log-probabilities of an example's label words, in nats, summed in float64.

    Args:
        scores: For each label word the log-probabilities of its target tokens and of EOS.
        score_eos: Whether EOS counts in what is compared.
    """
    doubles = [log_probs.double() for log_probs in scores]
    return {
        "log_probs": [float((log_probs if score_eos else log_probs[:-1]).sum()) for log_probs in doubles],
        "eos_log_probs": [float(log_probs[-1]) for log_probs in doubles],
        "num_tokens": [len(log_probs) - 1 for log_probs in doubles],
    }
