"""Costs of a report: its size, time and memory to write it, time to open and filter it in a browser.

python benchmarks/report.py [--examples 7600] [--classes 4] [--draws 5] [--own_words 0]

The predictions are random. The browser is headless Chromium (apt-get install chromium chromium-driver).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import json
import random
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from chromium import Browser, open_browser

from evaluate.predictions import sha256, write_predictions
from preprocess.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
METHODS = ("direct", "direct_calibrate", "channel", "generate")
VOCABULARY, WORDS = 20_000, 34  # a text of AG News has about 34 words
FILTERS = {  # scripts
    "ground truth": "choose('truth', 0)",
    "outcome": "choose('outcome', 'wrong')",
    "differs from": "choose('other', 1)",
    "text": "write('text', 'word17')",
    "cleared": "document.querySelector('form button[type=reset]').click()",
}
ACTIONS = """
const by = (id) => document.getElementById(id);
const change = (id, value) => { by(id).value = value; by(id).dispatchEvent(new Event("input", { bubbles: true })); };
const choose = change, write = change;
const done = arguments[0], begin = performance.now();
function wait() {
  if (by("list").getAttribute("aria-busy") === "true") return setTimeout(wait);
  document.body.offsetHeight;
  done(performance.now() - begin);
}
%s;
wait();
"""


@dataclass(frozen=True)
class ReportBenchmarkConfig:
    """Write a report of random predictions of four methods, and measure it.

    Args:
        examples: Number of examples.
        classes: Number of label words.
        draws: Draws of demonstrations of each method.
        own_words: Label words of each example; 0: all examples share all label words.
        keep: Folder for the predictions and the report; by default they are deleted.
    """

    examples: int = 7600
    classes: int = 4
    draws: int = 5
    own_words: int = 0
    keep: str = ""

    def __post_init__(self) -> None:
        for name in ("examples", "classes", "draws"):
            if getattr(self, name) < 1 + (name == "classes"):
                raise InputError(f"--{name} {getattr(self, name)}: expected more")


def measure(config: ReportBenchmarkConfig) -> None:
    """Print the costs."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(config.keep or temporary)
        write_results(config, folder)
        began = time.monotonic()
        command = [sys.executable, "run_report.py", str(folder / "results"), "--output", str(folder / "report.html")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(done.stderr)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # of the only child so far
        sizes = "; ".join(line.rpartition(": ")[2].partition(";")[0] for line in done.stdout.splitlines())
        print(f"{sizes}; written in {time.monotonic() - began:.1f} s, {memory:.0f} MiB")
        with open_browser(folder) as browser:
            print(f"opened in {opened(browser, folder / 'report.html'):.2f} s")
            for name, action in FILTERS.items():
                print(f"filter, {name}: {browser.execute_async_script(ACTIONS % action):.0f} ms")


def opened(browser: Browser, path: Path) -> float:
    """Seconds until the first examples are shown."""
    began = time.monotonic()
    browser.get(path.as_uri())
    while not browser.execute_script("return document.querySelector('#list > li') !== null"):
        time.sleep(0.01)
    return time.monotonic() - began


def write_results(config: ReportBenchmarkConfig, folder: Path) -> None:
    """Write prompt files and predictions of each draw."""
    draw = random.Random(0)
    vocabulary = [f"word{draw.randrange(VOCABULARY)}" for _ in range(VOCABULARY)]
    classes = [f"class {n}" for n in range(config.classes)]
    examples = [example(draw, n, vocabulary, classes, config.own_words) for n in range(config.examples)]
    for seed in range(1, config.draws + 1):
        shown = "".join(demonstration(draw, vocabulary, word) for word in classes[:20])
        for kind in ("direct", "channel"):
            write_draw(folder, kind, seed, [row | fields(kind, shown) for row in examples], draw)


def example(
    draw: random.Random, number: int, vocabulary: list[str], classes: list[str], own_words: int
) -> dict[str, Any]:
    """A random example, without its prompt."""
    words = draw.sample(classes, own_words) if own_words else classes
    text = " ".join(draw.choices(vocabulary, k=WORDS))
    return {"id": f"test-{number}", "text": text, "label_words": words, "ground_truth": draw.choice(words)}


def demonstration(draw: random.Random, vocabulary: list[str], word: str) -> str:
    """A demonstration of random words."""
    return f"Article: {' '.join(draw.choices(vocabulary, k=WORDS))}\nCategory: {word}\n"


def fields(kind: str, shown: str) -> dict[str, str]:
    """Prompt and completion of a method, after the demonstrations `shown`."""
    if kind == "direct":
        return {"prompt": f"{shown}Article: {{text}}\nCategory:", "completion": "{label_word}"}
    return {"prompt": f"{shown}Category: {{label_word}}\nArticle:", "completion": "{text}"}


def write_draw(folder: Path, kind: str, seed: int, prompts: list[dict[str, Any]], draw: random.Random) -> None:
    """Write a prompt file and the predictions of its methods."""
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    inputs = results / f"inputs_{kind}_{seed}.json"
    inputs.write_text(json.dumps(prompts))
    prompt = {"dataset": "random", "k": 1, "seed": seed}
    for method in METHODS:
        if (method == "channel") != (kind == "channel"):
            continue
        meta = {"method": method, "checkpoint": "none", "num_examples": len(prompts), "seconds": 60.0, "prompt": prompt}
        meta |= {"tokens_computed": 100_000, "prompt_path": str(inputs), "prompt_sha256": sha256(inputs)}
        rows = [answer(draw, row, method) for row in prompts]
        write_predictions(results / f"outputs_{method}_{seed}.json", rows, meta)


def answer(draw: random.Random, prompt: dict[str, Any], method: str) -> dict[str, Any]:
    """A random row of a predictions file."""
    row = {key: prompt[key] for key in ("id", "label_words", "ground_truth")}
    scores = [draw.gauss(-150 if method == "channel" else -8, 3) for _ in row["label_words"]]
    best = row["label_words"][scores.index(max(scores))]
    row["prediction"] = draw.choice([row["ground_truth"], best])
    details = {"generation": f" {row['prediction']} {draw.random()}"} if method == "generate" else {"log_probs": scores}
    return row | details | {"correct": row["prediction"] == row["ground_truth"]}


if __name__ == "__main__":
    run(ReportBenchmarkConfig, measure)
