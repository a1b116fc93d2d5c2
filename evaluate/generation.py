"""Generate: the first label word in the generated text, if there is one."""

import hashlib
import json
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evaluate.predictions import prediction_row
from evaluate.run import Run, RunOptions
from evaluate.runner import Examples
from evaluate.session import Session
from llama import Request, Tokenizer
from llama.generation import Sampling
from llama.parallel import is_rank_0
from llama.stops import cut_at_stop
from preprocess.errors import InputError
from preprocess.files import PathFlag
from preprocess.prompts import Prompt, read_prompt_file

UNSPACED = re.compile(  # Thai, Lao, Tibetan, Burmese, Khmer; Hangul, whose particles follow a noun; kana, Han
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class GenerateConfig:
    """Generate a continuation of every prompt and search it for a label word.

    Args:
        data_path: The prompt file, made for the direct method.
        dtype: auto, float32, bfloat16, float16 or int8; auto is the checkpoint's own dtype on CUDA, float32 on a CPU.
            int8: the matrices of the blocks in 8 bits, all else in bfloat16 (requirements-int8.txt).
        temperature: Sampling temperature; 0 is greedy decoding.
        top_p: Sample from the smallest set of most probable tokens whose total probability reaches this value.
        max_gen_len: Maximum number of generated tokens.
        stop: Stop string: generation ends there, and the answer is the text before it. The default is a line break,
            which does not count before the first character that is not white space. \\n, \\t and \\r are a line break,
            a tab and a carriage return; a JSON list holds several strings; "" turns it off.
        seed: Random seed of sampling. Each example has its own generator, seeded with this and its id.
        run: The options that all methods share.
    """

    data_path: PathFlag = "samples/inputs_direct_ag_news.json"
    dtype: str = "auto"
    temperature: float = 0.8
    top_p: float = 0.95
    max_gen_len: int = 8
    stop: str = "\\n"
    seed: int = 1
    run: RunOptions = field(default_factory=RunOptions)

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"--temperature {self.temperature}: expected a finite number, 0 or more")
        if not 0 <= self.top_p <= 1:
            raise InputError(f"--top_p {self.top_p}: expected 0 to 1")
        if self.max_gen_len < 1:
            raise InputError(f"--max_gen_len {self.max_gen_len}: expected 1 or more")
        self.stops()

    def stops(self) -> list[str]:
        """The stop strings.

        Raises:
            InputError: A JSON list with other items.
        """
        if not self.stop.startswith("["):
            written = {"\\n": "\n", "\\t": "\t", "\\r": "\r"}
            return [re.sub(r"\\[ntr]", lambda escape: written[escape[0]], self.stop)] if self.stop else []
        try:
            stops = json.loads(self.stop)
        except (ValueError, RecursionError):
            stops = None
        if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
            raise InputError(f'--stop {self.stop}: expected a string, or a JSON list of strings such as ["\\n", "###"]')
        return stops


class Contexts(Sequence[tuple[int, ...]]):
    """The contexts of requests, joined when they are used: most of their ids are a head that all share."""

    def __init__(self, requests: Sequence[Request]):
        self.requests = requests

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, index: int) -> tuple[int, ...]:
        return self.requests[index].context


def evaluate_generate(config: GenerateConfig) -> None:
    """Predict by the generated text."""
    with Session() as session:
        generate(config, session)


def generate(config: GenerateConfig, session: Session) -> None:
    """Run generate on a prompt file: read and check it, generate, write."""
    file = read_prompt_file(config.data_path, "direct")
    prompts = file.prompts
    sampling = {"temperature": config.temperature, "top_p": config.top_p}
    stops = config.stops()
    settings = sampling | {"max_gen_len": config.max_gen_len, "stop": stops, "seed": config.seed}
    run = Run("generate", file, config.run, config.dtype, settings, config)
    if run.is_finished():
        return
    encoded = run.encode(prompts, "generate", config.max_gen_len)
    warn_of_long_words(prompts, run.checkpoint.tokenizer, config.max_gen_len)
    with run.alone():
        llama, launch = session.load(run)
        contexts = Contexts([request for (request,) in encoded.requests])
        seeds = [example_seed(config.seed, prompt.id) for prompt in prompts]
        generation = llama.generation(
            contexts, seeds, Sampling(config.max_gen_len, config.temperature, config.top_p), stops
        )
        tokens: dict[int, int] = {}

        def decide(example: int, results: list[list[int]]) -> dict[str, Any]:
            prompt, (new,) = prompts[example], results
            text = cut_at_stop(llama.tokenizer.decode_continuation(new), stops)
            tokens[example] = len(new)
            return prediction_row(prompt, first_label_word(text, prompt.label_words), {"generation": text})

        outcome = run.compute(generation, list, Examples(range(len(prompts)), decide), launch)
        if outcome is not None:
            run.write(outcome, {"tokens_scored": sum(tokens.values()), "cut": encoded.cut})


def example_seed(seed: int, example_id: str) -> int:
    """The seed of an example's generator, so that its sample does not depend on its batch or index in the file."""
    digest = hashlib.sha256(f"{seed} {example_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7])


def warn_of_long_words(prompts: Sequence[Prompt], tokenizer: Tokenizer, max_gen_len: int) -> None:
    """Warn on rank 0 if label words have more tokens than are generated, because they can never be the answer."""
    words = {word: prompt for prompt in prompts for word in prompt.label_words}
    lengths = {word: tokens_to_write(tokenizer, word, prompt.separator) for word, prompt in words.items()}
    longest = max(lengths, key=lambda word: lengths[word])
    if lengths[longest] > max_gen_len and is_rank_0():
        number = sum(length > max_gen_len for length in lengths.values())
        print(
            f"warning: --max_gen_len {max_gen_len} is too small for {number} of {len(lengths)} label words, which can"
            f" never be the answer: {longest!r} has {lengths[longest]} tokens",
            file=sys.stderr,
        )


def tokens_to_write(tokenizer: Tokenizer, word: str, separator: str) -> int:
    """Number of tokens of an answer. The context ends with the separator without its trailing spaces."""
    given = separator.rstrip(" ")
    return len(tokenizer.encode_pair(f":{given}", word, separator[len(given) :])[1])


def first_label_word(generation: str, label_words: Sequence[str]) -> str | None:
    """The label word that occurs first in `generation` as a whole word; None if there is none.

    Exact matches take precedence over matches that ignore case. Label words of one letter must match exactly, because
    "a" is a word. A match inside a longer label word does not count. In scripts without spaces between words (Chinese,
    Japanese, Thai), a match need not be a whole word. Full-width letters match letters (NFKC), and a space in a label
    word matches any white space.
    """
    text = unicodedata.normalize("NFKC", generation)
    exact, ignored = (occurrences(text, label_words, flags) for flags in (re.NOFLAG, re.IGNORECASE))
    longest = [one for one in exact + ignored if not any(is_part(one, other) for other in ignored)]
    # At the same position, the longest match; among equal ones, the first label word.
    first = min(longest, key=lambda one: (one not in exact, one.begin, -one.end, one.number), default=None)
    return None if first is None else label_words[first.number]


class Occurrence(NamedTuple):
    """Label word `number` at text[begin:end]."""

    begin: int
    end: int
    number: int


def is_part(one: Occurrence, other: Occurrence) -> bool:
    """Whether an occurrence is inside a longer one."""
    return other.begin <= one.begin and one.end <= other.end and other.end - other.begin > one.end - one.begin


def occurrences(text: str, label_words: Sequence[str], flags: re.RegexFlag) -> list[Occurrence]:
    """All occurrences of the label words in `text` as whole words."""
    matches = []
    for number, word in enumerate(label_words):
        composed = unicodedata.normalize("NFKC", word)
        case = re.NOFLAG if len(composed) == 1 else flags
        pattern = r"\s+".join(map(re.escape, composed.split()))
        for match in re.finditer(rf"(?=({pattern}))", text, case):
            begin, end = match.span(1)
            if not continues_word(text[:begin][::-1], composed[0]) and not continues_word(text[end:], composed[-1]):
                matches.append(Occurrence(begin, end, number))
    return matches


def continues_word(beside: str, edge: str) -> bool:
    """Whether the adjacent text makes a match a part of a longer word.

    Args:
        beside: The adjacent text, read away from the match. "_" before a letter joins words; otherwise it is Markdown.
        edge: The label word's character at that end.
    """
    neighbour = beside[:2].lstrip("_")[:1] if beside.startswith("_") else beside[:1]
    if not neighbour or UNSPACED.match(edge) or UNSPACED.match(neighbour):
        return False
    return unicodedata.category(neighbour)[0] in "LMN"  # letters, marks, digits
