"""Generate: the label word that the model writes first, if it writes one."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluate.predictions import prediction_row
from evaluate.requests import encode
from evaluate.run import Run, RunOptions
from evaluate.work import Examples
from llama.generation import Sampling
from llama.parallel import finish
from preprocess.errors import InputError
from preprocess.prompts import read_prompts


@dataclass(frozen=True)
class GenerateConfig:
    """Let the model continue every prompt and look for a label word in what it writes.

    Args:
        data_path: The prompt file, of the direct form; default the shipped sample of AG News.
        dtype: auto, float32, bfloat16 or float16; auto is the checkpoint's own on CUDA, float32 on a CPU.
        temperature: Divides the logits; 0 is greedy.
        top_p: Draw from the most probable tokens that together have this probability.
        max_gen_len: Tokens to generate at most.
        seed: Each example draws from a generator of its own, made from this and its id.
        run: The options that all methods share.
    """

    data_path: str = "samples/inputs_direct_ag_news.json"
    dtype: str = "auto"
    temperature: float = 0.8
    top_p: float = 0.95
    max_gen_len: int = 8
    seed: int = 1
    run: RunOptions = field(default_factory=RunOptions)

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"--temperature {self.temperature}: expected 0 or more")
        if not 0 <= self.top_p <= 1:
            raise InputError(f"--top_p {self.top_p}: expected 0 to 1")
        if self.max_gen_len < 1:
            raise InputError(f"--max_gen_len {self.max_gen_len}: expected 1 or more")


def evaluate_generate(config: GenerateConfig) -> None:
    """Predict by what the model writes."""
    generate(config)
    finish()


def generate(config: GenerateConfig) -> None:
    """Read, check, generate, write."""
    prompts = read_prompts(config.data_path, "direct")
    sampling = {"temperature": config.temperature, "top_p": config.top_p}
    settings = sampling | {"max_gen_len": config.max_gen_len, "seed": config.seed}
    run = Run("generate", config.data_path, config.run, config.dtype, settings, config)
    encoded = encode(
        prompts, "generate", run.checkpoint.tokenizer, run.max_seq_len, run.prompt_path, config.max_gen_len
    )
    if run.is_finished():
        return
    with run.alone():
        llama = run.load()
        contexts = [request.context for (request,) in encoded.requests]
        seeds = [example_seed(config.seed, prompt.id) for prompt in prompts]
        generation = llama.generation(contexts, seeds, Sampling(config.max_gen_len, config.temperature, config.top_p))
        tokens: dict[int, int] = {}

        def decide(example: int, results: list[list[int]]) -> dict[str, Any]:
            prompt, (new,) = prompts[example], results
            text = llama.tokenizer.decode(new)
            tokens[example] = len(new)
            return prediction_row(prompt, first_label_word(text, prompt.label_words), {"generation": text})

        outcome = run.compute(generation, list, Examples(range(len(prompts)), decide))
        if outcome is not None:
            run.write(outcome.rows, outcome.seconds, {"tokens_scored": sum(tokens.values()), "cut": encoded.cut})


def example_seed(seed: int, example_id: str) -> int:
    """The seed of an example's own generator: its draws depend neither on its batch nor on its place in the file."""
    digest = hashlib.sha256(f"{seed} {example_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7])


def first_label_word(generation: str, label_words: Sequence[str]) -> str | None:
    """The label word that occurs first in `generation` as a whole word, case ignored; None where none does.

    Where two begin at the same place, the longer one.
    """
    by_length = sorted(label_words, key=len, reverse=True)
    pattern = "|".join(re.escape(word) for word in by_length)
    found = re.search(rf"(?<!\w)(?:{pattern})(?!\w)", generation, re.IGNORECASE)
    if found is None:
        return None
    if found[0] in label_words:
        return found[0]
    return next(word for word in label_words if re.fullmatch(re.escape(word), found[0], re.IGNORECASE))
