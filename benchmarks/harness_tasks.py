"""The tasks of the harness benchmark: requests as lm-evaluation-harness sends them to a model, with meaningless texts.

With SmolLM2's tokenizer, a shot has about 80 tokens, a passage 400, a question 30, an option 2 to 8.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

TEXT = (
    "time people water house school river morning company market garden winter letter island doctor village bridge"
    " picture summer station window mountain teacher history kitchen family evening forest castle engine harbour"
    " small large early quiet bright heavy green simple narrow public common ancient modern gentle distant famous"
    " opened closed carried followed painted repaired watched counted crossed visited gathered returned measured"
)
WORDS = TEXT.split()
OPTIONS = 4
SHOT, PASSAGE, QUESTION, DOCUMENT = 70, 380, 24, 1400  # words
POOL = 200  # shots to draw from


@dataclass(frozen=True)
class Task:
    """Requests of one kind.

    Args:
        name: What is measured.
        kind: loglikelihood or loglikelihood_rolling.
        requests: Contexts and continuations, four per question; or texts.
        goal: Required ratio of questions per second to those of `hf`.
        fewer: Factor by which `hf` gets fewer questions than in other tasks.
    """

    name: str
    kind: str
    requests: list[tuple[str, ...]]
    goal: float
    fewer: int = 1

    @property
    def each(self) -> int:
        """Number of requests per question; a document is one request."""
        return OPTIONS if self.kind == "loglikelihood" else 1

    @property
    def questions(self) -> int:
        return len(self.requests) // self.each


def sentence(generator: np.random.Generator, count: int) -> str:
    """`count` random words."""
    return " ".join(generator.choice(WORDS, count))


def shots(generator: np.random.Generator, count: int) -> list[str]:
    """`count` random pairs of a question and an answer."""
    return [
        f"Question: {sentence(generator, SHOT)}?\nAnswer: {sentence(generator, generator.integers(2, 7))}\n\n"
        for _ in range(count)
    ]


def questions(generator: np.random.Generator, before: str) -> Iterator[tuple[str, str]]:
    """The four requests of one question after `before`."""
    context = f"{before}Question: {sentence(generator, QUESTION)}?\nAnswer:"
    for _ in range(OPTIONS):
        yield context, f" {sentence(generator, generator.integers(2, 7))}"


def make_tasks(count: int, seed: int) -> list[Task]:
    """All tasks.

    Args:
        count: Number of questions if they share shots; a fourth as many if not; an eighth as many documents.
    """
    generator = np.random.default_rng(seed)
    pool = shots(generator, POOL)
    few, documents = max(1, count // 4), max(1, count // 8)

    def ask(befores: list[str]) -> list[tuple[str, ...]]:
        return [request for before in befores for request in questions(generator, before)]

    drawn = ["".join(generator.choice(pool, 5, replace=False)) for _ in range(few)]
    passages = [f"{sentence(generator, PASSAGE)}.\n" for _ in range(few)]
    texts = [(sentence(generator, DOCUMENT),) for _ in range(documents)]
    return [
        Task("5 shared shots", "loglikelihood", ask(["".join(pool[:5])] * count), 6),
        Task("25 shared shots", "loglikelihood", ask(["".join(pool[:25])] * count), 15, fewer=4),
        Task("5 shots per question", "loglikelihood", ask(drawn), 2.5),
        Task("no shots, a long context", "loglikelihood", ask(passages), 2.5),
        Task("rolling, nothing shared", "loglikelihood_rolling", texts, 1 / 1.05),
    ]
