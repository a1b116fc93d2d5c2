"""The prompts of a benchmark as token ids: AG News, prepared and encoded by the product's own code."""

import contextlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from weights import SHAPES

from evaluate.requests import encode
from llama import Tokenizer
from llama.checkpoint import DTYPES
from llama.prompts import LABEL_WORD, TEXT, fill
from preprocess.ag_news import preprocess
from preprocess.build import ExampleOptions, PromptOptions
from preprocess.errors import InputError
from preprocess.files import PathFlag
from preprocess.prompts import Prompt, read_prompts

METHODS = ("direct", "channel", "generate")
MAX_GEN_LEN = 8
UNLIMITED = 2**20  # tokens, so that no text is cut
TOPICS = (  # label words
    "World Sports Business Science Politics Health Music Art Travel Food Weather History Law Education "
    "Religion Fashion Energy Finance Medicine Technology Farming Crime War Peace Family Nature Animals Space "
    "Oceans Cars Aviation Railways Housing Gardening Theatre Film Television Radio Books Poetry Games Chess "
    "Football Tennis Sailing Cycling Swimming Mathematics Physics Chemistry Biology Geology Astronomy "
    "Computers Internet Robots Telephones Banking Insurance Trade Industry Labour Elections Diplomacy"
)
LABEL_WORDS = TOPICS.split()


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Args:
        method: direct, channel or generate (greedy, 8 tokens).
        params: Model shape: 1M, 15M, 134M, 1B, 7B, 8B or 13B, with random weights.
        dtype: float32, bfloat16 or float16.
        device: cpu or cuda.
        examples: Number of examples, the first of AG News' test split.
        k: Demonstrations of each class.
        labels: Number of label words, 2 to 64 topics from a list; 0 uses the four of AG News.
        seed: Random seed of the weights.
        repeats: Runs of each system, in turn; the fastest counts.
        data: Folder with ag_news/ and llama_tokenizer/tokenizer.model.
    """

    method: str = "direct"
    params: str = "134M"
    dtype: str = "float32"
    device: str = "cpu"
    examples: int = 256
    k: int = 1
    labels: int = 0
    seed: int = 0
    repeats: int = 2
    data: PathFlag = "../shared/data"

    def __post_init__(self) -> None:
        choices = {"method": METHODS, "params": SHAPES, "dtype": DTYPES, "device": ("cpu", "cuda")}
        for flag, known in choices.items():
            if getattr(self, flag) not in known:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected {', '.join(known)}")
        ranges = {"examples": (1, None), "k": (0, None), "labels": (0, len(LABEL_WORDS)), "repeats": (1, None)}
        for flag, (low, high) in ranges.items():
            value = getattr(self, flag)
            if value < low or (high is not None and value > high):
                raise InputError(f"--{flag} {value}: expected {low} {'or more' if high is None else f'to {high}'}")
        if self.labels == 1:
            raise InputError("--labels 1: expected 2 or more, or 0 for those of AG News")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device cuda: there is no CUDA device here")

    @property
    def tokenizer_path(self) -> Path:
        return Path(self.data).resolve() / "llama_tokenizer" / "tokenizer.model"


def make_workload(setting: Setting, folder: Path, sample: int) -> dict[str, Any]:
    """The input of the processes; see serve.py.

    Args:
        folder: Folder for the prompt file.
        sample: Number of examples for the systems other than the product; 0: all.

    Raises:
        InputError: The data is missing.
    """
    return workload_of(setting, make_prompts(setting, folder), folder, sample)


def workload_of(setting: Setting, prompts: Sequence[Prompt], folder: Path, sample: int) -> dict[str, Any]:
    """The same for prompts that are there; `folder` is named in messages."""
    tokenizer = Tokenizer(setting.tokenizer_path)
    encoded = encode(prompts, setting.method, tokenizer, UNLIMITED, folder)
    requests = [(request.context, request.target) for example in encoded.requests for request in example]
    longest = max(len(context) + len(target) for context, target in requests)
    words = len(encoded.requests[0])
    return {
        "method": setting.method,
        "shape": SHAPES[setting.params],
        "dtype": setting.dtype,
        "device": setting.device,
        "seed": setting.seed,
        "tokenizer_path": str(setting.tokenizer_path),
        "eos_id": tokenizer.eos_id,
        "max_gen_len": MAX_GEN_LEN,
        "max_seq_len": longest + MAX_GEN_LEN,
        "requests": requests,
        "words": words,
        "sample": (min(sample, len(prompts)) or len(prompts)) * words,
        "texts": {} if setting.method == "generate" else split_texts(prompts, setting.method),
    }


def make_prompts(setting: Setting, folder: Path) -> list[Prompt]:
    """The prompts of AG News with the demonstrations of the original system."""
    data = Path(setting.data)
    for needed in (data / "ag_news", setting.tokenizer_path):
        if not needed.exists():
            raise InputError(f"{needed}: missing; AG News and LLaMA's tokenizer are needed (--data)")
    path = folder / "inputs.json"
    examples = ExampleOptions(str(data / "ag_news"), limit=setting.examples)
    options = PromptOptions(str(path), setting.k, examples=examples)
    method = "channel" if setting.method == "channel" else "direct"
    with contextlib.redirect_stdout(io.StringIO()):
        preprocess(options, method)
    prompts = read_prompts(path, method)
    if not setting.labels:
        return prompts
    words = tuple(LABEL_WORDS[: setting.labels])
    return [replace(prompt, label_words=words, ground_truth=words[0]) for prompt in prompts]


def split_texts(prompts: Sequence[Prompt], method: str) -> dict[str, Any]:
    """The prompts as text: their common prefix up to a space, the rest of each prompt, and the completions.

    direct: one prompt per example, the label words as completions. channel: one prompt per label word, one completion
    per example.
    """
    words = prompts[0].label_words
    if method == "direct":
        filled = [fill(prompt.prompt, TEXT, prompt.text) for prompt in prompts]
        completions = list(words)
    else:
        filled = [fill(prompts[0].prompt, LABEL_WORD, word) for word in words]
        completions = [prompt.text for prompt in prompts]
    prefix, _, _ = os.path.commonprefix(filled).rpartition(" ")  # noqa: RUF071 - characters are meant
    return {"prefix": prefix, "prompts": [text[len(prefix) + 1 :] for text in filled], "completions": completions}
