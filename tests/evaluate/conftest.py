"""Shared by the tests of evaluate/: a random checkpoint, prompts with unusual texts, the definition as a slow loop."""

import csv
import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch

from options import parse
from evaluate.generation import GenerateConfig, evaluate_generate
from evaluate.journal import Journal
from evaluate.predictions import write_predictions
from evaluate.scoring import ScoreConfig, evaluate_channel, evaluate_direct
from llama import open_checkpoint
from llama.llama import load_model
from llama.parallel import start

LABEL_WORDS = ["World", "Sports", "Business", "Science and technology"]
OTHER_WORDS = ["today", "of", "market"]  # of one token each: a random model prefers short label words
SHOWN = "the rain {text} of {label_word} {}"  # a demonstration with braces: they are text
TEMPLATES = {
    "direct": (f"Article: {SHOWN}\nCategory: Sports\nArticle: {{text}}\nCategory:", "{label_word}"),
    "channel": (f"Category: Sports\nArticle: {SHOWN}\nCategory: {{label_word}}\nArticle:", "{text}"),
}
MAX_SEQ_LEN = 160
PROMPT_META = {"dataset": "news", "k": 1}
COLUMNS = "dataset,num_examples,k,method,accuracy,interval,macro_f1,unanswered,time,checkpoint"
TEXTS = {
    "plain": "rain stopped play today",
    "market": "the market of the World today",
    "empty": "",
    "braces": "a {text} and {label_word}, {} {0} {x!r} %s \\1 $1",
    "control": "null\x00 bell\x07 escape\x1b[31m tab\t line\nnext\u2028feed\x0c",
    "emoji": "👩‍👩‍👧 🇫🇷 e\u0301 ﷽ \U0010ffff and half of one \ud83d",
    "right-to-left": "עולם \u202eمرحبا\u202c",
    "category": "play\nCategory: World\nArticle:",
    "long": " ".join(f"rain {number} stopped" for number in range(200)),
    "one word": "market" * 200,  # nothing of it fits: cut by whole words
}
BLOCKS = {f"page-{n}": text for n, text in enumerate(["the", "stopped of", "Category", "rain, rain", "Sports play"])}


class Definition:
    """log p(completion | prompt) by definition: one sequence at a time, no cache, no batch, no shared code."""

    def __init__(self, folder: Path):
        checkpoint = open_checkpoint(str(folder))
        self.model = load_model(checkpoint, start(), torch.float32)
        self.sp = checkpoint.tokenizer.backend.sp_model
        self.max_seq_len = checkpoint.args.max_seq_len

    def tokens(self, prompt: str, completion: str) -> list[int]:
        text = (f"{prompt} {completion}" if completion else prompt).replace("\ud83d", "\ufffd")
        return [self.sp.bos_id(), *self.sp.encode(text)]

    def log_probs(self, prompt: str, completion: str) -> list[float]:
        """Log-probabilities of each token of the completion and of EOS."""
        ids, first = [*self.tokens(prompt, completion), self.sp.eos_id()], len(self.tokens(prompt, ""))
        table = self.logits(ids[:-1]).double().log_softmax(-1)
        return [float(table[place - 1, ids[place]]) for place in range(first, len(ids))]

    def continuation(self, prompt: str, max_gen_len: int) -> str:
        """Greedy decoding by full recomputation."""
        ids = first = self.tokens(prompt, "")
        while len(ids) < len(first) + max_gen_len:
            token = int(self.logits(ids)[-1].argmax())
            if token == self.sp.eos_id():
                break
            ids = [*ids, token]
        return self.sp.decode(ids[len(first) :])

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> torch.Tensor:
        start()
        return self.model.output(self.model(torch.tensor([ids])))[0]

    def pairs(self, row: dict, text: str) -> list[tuple[str, str]]:
        """Context and scored text for each label word, written independently of the product."""
        if row["completion"] == "{label_word}":
            prompt = f"Article: {SHOWN}\nCategory: Sports\nArticle: {text}\nCategory:"
            return [(prompt, word) for word in row["label_words"]]
        start = f"Category: Sports\nArticle: {SHOWN}\nCategory:"
        return [(f"{start} {word}\nArticle:", text) for word in row["label_words"]]

    def cut(self, row: dict, room: int = 0, generate: bool = False) -> str:
        """The text, or its longest beginning, in whole words, that fits with every label word."""

        def fits(text: str) -> bool:
            pairs = self.pairs(row, text)
            lengths = [len(self.tokens(prompt, "" if generate else completion)) for prompt, completion in pairs]
            return max(lengths) + room <= self.max_seq_len

        text, words = row["text"], row["text"].split()
        while not fits(text):
            text = text.rstrip() if text.rstrip() != text else text.removesuffix(words.pop()).rstrip()
        return text


@pytest.fixture(autouse=True)
def process_group() -> Iterator[None]:
    """An evaluation destroys the process group at its end; other tests of this process need one."""
    yield
    start()


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "random", max_seq_len=MAX_SEQ_LEN)


@pytest.fixture(scope="session")
def definition(checkpoint: Path) -> Definition:
    return Definition(checkpoint)


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., list[dict]]:
    """A function that returns the rows of a prompt file: (method, texts=TEXTS, label_words=LABEL_WORDS) -> rows."""

    def make(method: str, texts: dict[str, str] = TEXTS, label_words: Sequence[str] = LABEL_WORDS) -> list[dict]:
        prompt, completion = TEMPLATES[method]
        rows = [
            {"id": name, "prompt": prompt, "completion": completion, "text": text, "label_words": list(label_words)}
            for name, text in texts.items()
        ]
        return [row | {"ground_truth": label_words[n % len(label_words)]} for n, row in enumerate(rows)]

    return make


@pytest.fixture
def write_prompts(tmp_path: Path, make_rows: Callable[..., list[dict]]) -> Callable[..., Path]:
    """A function that writes a prompt file into the test's folder: (method, rows=None, meta=None) -> path.

    Without rows: unusual texts with four label words, then blocks of a page with three others.
    """

    def write(method: str, rows: list[dict] | None = None, meta: dict | None = None) -> Path:
        path = tmp_path / f"inputs_{method}_news.json"
        if rows is None:
            blocks = [row | {"group": "page"} for row in make_rows(method, BLOCKS, OTHER_WORDS)]
            rows = make_rows(method) + blocks
        path.write_text(json.dumps(rows))
        if meta is not None:
            path.with_suffix(".meta.json").write_text(json.dumps(meta))
        return path

    return write


@pytest.fixture
def evaluate(checkpoint: Path) -> Callable[..., tuple[list[dict], dict]]:
    """A function that runs a method in this process: (method, output path, **flags) -> (rows, meta)."""
    methods = {
        "direct": (ScoreConfig, evaluate_direct),
        "channel": (ScoreConfig, evaluate_channel),
        "generate": (GenerateConfig, evaluate_generate),
    }

    def run(method: str, path: Path, /, **flags: object) -> tuple[list[dict], dict]:
        if method == "direct_calibrate":
            from evaluate.calibration import CalibrateConfig, evaluate_direct_calibrate  # they need scipy

            methods[method] = (CalibrateConfig, evaluate_direct_calibrate)
        config_type, function = methods[method]
        flags = {"ckpt_dir": checkpoint, "output_path": path} | flags
        function(parse(config_type, [f"--{name}={value}" for name, value in flags.items()]))
        return json.loads(path.read_text()), json.loads(path.with_suffix(".meta.json").read_text())

    return run


@pytest.fixture
def run(evaluate: Callable, write_prompts: Callable, tmp_path: Path) -> Callable[..., tuple[list[dict], dict]]:
    """A function that runs a method on the default prompts: (method, name="outputs.json", **flags) -> rows, meta.

    Generation is greedy; calibration uses a direct output, which is computed first.
    """

    def run_method(method: str, name: str = "outputs.json", **flags: object) -> tuple[list[dict], dict]:
        inputs = write_prompts("channel" if method == "channel" else "direct", meta=PROMPT_META)
        if method == "direct_calibrate":
            direct = tmp_path / "direct.json"
            if not direct.exists():
                evaluate("direct", direct, data_path=inputs)
            flags = {"direct_input_path": inputs, "direct_output_path": direct} | flags
        else:
            flags = {"data_path": inputs} | flags
        if method == "generate":
            flags = {"temperature": 0} | flags
        return evaluate(method, tmp_path / name, **flags)

    return run_method


@pytest.fixture
def direct(evaluate: Callable, write_prompts: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    """The flags that name a prompt file and its direct output."""
    flags = {"direct_input_path": write_prompts("direct"), "direct_output_path": tmp_path / "direct.json"}
    evaluate("direct", tmp_path / "direct.json", data_path=flags["direct_input_path"])
    return flags


@pytest.fixture
def without_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """A context in which loading the model fails the test."""

    @contextmanager
    def forbid() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr("evaluate.session.Session.load", lambda *_: pytest.fail("the model was loaded"))
            yield

    return forbid


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batches that runs of this process have written, in order; a test may clear the list."""
    append, batches = Journal.append, []

    def recording(journal: Journal, line: dict) -> None:
        append(journal, line)
        batches.extend([line["batch"]] if "batch" in line else [])

    monkeypatch.setattr(Journal, "append", recording)
    return batches


@pytest.fixture
def write_answers(tmp_path):
    """A function that writes predictions files: (name, seed=0, count=20, **meta) -> path. Some answers are null."""

    def write(name, seed=0, count=20, **meta):
        draw = random.Random(seed)
        rows = [{"id": str(n), "ground_truth": draw.choice(LABEL_WORDS[:3])} for n in range(count)]
        for row in rows:
            row["prediction"] = draw.choice([row["ground_truth"], draw.choice(LABEL_WORDS[:3]), None])
            row["correct"] = row["prediction"] == row["ground_truth"]
        known = {"method": "direct", "seconds": 61.4, "checkpoint": "tiny", "prompt": {"dataset": "news", "k": 1}}
        path = tmp_path / name
        write_predictions(path, rows, known | {"num_examples": count} | meta)
        return path

    return write


@pytest.fixture
def table(capsys):
    """A function that prints the table and reads it back: (*paths, columns=some, **options) -> rows."""
    from evaluate.table import TableConfig, print_table  # they need scipy

    def read(*paths, columns=COLUMNS, **options):
        print_table(TableConfig(tuple(map(str, paths)), "csv", columns, **options))
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    return read


@pytest.fixture
def outputs(evaluate, write_prompts, tmp_path):
    """A predictions file with its input and meta file, written by an evaluation."""
    path = tmp_path / "outputs_direct_news.json"
    evaluate("direct", path, data_path=write_prompts("direct", meta={"dataset": "news", "k": 1}))
    return path
