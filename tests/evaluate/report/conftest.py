"""Shared by the tests of the report: predictions files of random answers and attacks, and a report on them."""

import base64
import json
import random
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from selenium import webdriver

from evaluate.predictions import sha256, write_predictions
from evaluate.report.page import ReportConfig, write_report
from tests.evaluate.report.browsing import wait

WORDS = ["World", "Sports", "Business", "<b>Science</b> & technology"]
NAMES = {"direct": "direct", "direct_calibrate": "calibrated", "channel": "channel", "generate": "generate"}
ATTACKS = [
    "</script><script>document.title = 'attacked'</script>",
    "<img src=x onerror=\"document.title = 'attacked'\">",
    "<!-- <script> \u2028 \u2029 {{script}} ${document.title = 'attacked'} \\u003c &lt;",
    "]]></title></style><svg onload=\"document.title = 'attacked'\">",
]
TEMPLATE = {"prompt": "Article: {text}\nCategory:", "completion": "{label_word}"}
DEMONSTRATION = "Article: a demonstration with {text} in it\nCategory: Sports\n"


def write_files(
    folder: Path,
    methods=tuple(NAMES),
    count: int = 120,
    dataset: str = "news",
    k: int = 1,
    words: int = 20,
    seed: int | None = None,
    order: int | None = None,
) -> list[Path]:
    """A prompt file and random predictions of each method on it; the first texts are attacks, some answers null. Each
    seed, and each order of its demonstrations, has answers of its own to the same texts."""
    draw = random.Random(0)
    vocabulary = [f"word{n}" for n in range(1000)]
    prompts = []
    for n in range(count):
        text = ATTACKS[n] if n < len(ATTACKS) else " ".join(draw.choices(vocabulary, k=words))
        prompt = {"id": f"test-{n}", "prompt": f"{DEMONSTRATION}Article: {{text}}\nCategory:", "text": text}
        truth = {"label_words": WORDS, "ground_truth": draw.choice(WORDS)}
        prompts.append(prompt | {"completion": "{label_word}"} | truth)
    folder.mkdir(parents=True, exist_ok=True)
    inputs = folder / "inputs.json"
    inputs.write_text(json.dumps(prompts))
    paths, draw = [], random.Random(f"{seed} {order}")
    about = {"dataset": dataset, "k": k, "template": TEMPLATE, "demonstrations": ["train-1"]}
    about |= {key: value for key, value in (("seed", seed), ("order", order)) if value is not None}
    for method in methods:
        rows = [answer(draw, prompt, method) for prompt in prompts]
        meta = {"method": method, "seconds": 61.5, "tokens_computed": 1234, "checkpoint": "tiny", "num_examples": count}
        meta |= {"prompt_path": str(inputs), "prompt_sha256": sha256(inputs), "prompt": about}
        paths.append(folder / f"outputs_{method}.json")
        write_predictions(paths[-1], rows, meta)
    return paths


def answer(draw: random.Random, prompt: dict, method: str) -> dict:
    """A row of a predictions file, which is correct more often than not."""
    row = {key: prompt[key] for key in ("id", "label_words", "ground_truth")}
    scores = [draw.gauss(-5, 2) for _ in WORDS]
    row["prediction"] = draw.choice([prompt["ground_truth"], WORDS[scores.index(max(scores))]])
    if method == "generate":
        row["generation"] = f"{row['prediction']}\n{ATTACKS[0]}"
        row["prediction"] = draw.choice([row["prediction"]] * 9 + [None])
    else:
        row["score" if method == "direct_calibrate" else "log_probs"] = scores
    return row | {"correct": row["prediction"] == row["ground_truth"]}


@pytest.fixture(scope="session")
def write_results() -> Callable[..., list[Path]]:
    """A function that writes predictions files: (folder, methods, count, dataset, k, words, seed, order) -> their
    paths."""
    return write_files


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A report on two data sets; the second has only one method and a name that is markup."""
    folder = tmp_path_factory.mktemp("report")
    write_files(folder / "results/first")
    write_files(folder / "results/second", ["direct"], 70, "<i>other</i>")
    path = folder / "report.html"
    write_report(ReportConfig((str(folder / "results"),), str(path), str(folder / "figures")))
    page = path.read_text(encoding="utf-8")
    first = {name: json.loads((folder / f"results/first/{name}.json").read_text()) for name in file_names()}
    rows = {method: first[f"outputs_{method}"] for method in NAMES}
    return SimpleNamespace(folder=folder, path=path, page=page, read=Reader(page), rows=rows, prompts=first["inputs"])


@pytest.fixture(scope="session")
def with_draws(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A report on direct and channel with k = 0, and with three draws and two more orders of one with k = 1."""
    folder = tmp_path_factory.mktemp("draws")
    write_files(folder / "results/k0", ["direct", "channel"], 60, k=0)
    for seed in (1, 2, 3):
        write_files(folder / f"results/{seed}", ["direct", "channel"], 60, seed=seed)
    for order in (1, 2):
        write_files(folder / f"results/order{order}", ["direct"], 60, seed=1, order=order)
    path = folder / "report.html"
    write_report(ReportConfig((str(folder / "results"),), str(path)))
    return SimpleNamespace(folder=folder, path=path, read=Reader(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def chromium(root):
    """The module benchmarks/chromium.py; benchmarks/ is not a package."""
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        import chromium
    finally:
        sys.path.remove(str(root / "benchmarks"))
    for program in (chromium.PROGRAM, chromium.DRIVER):
        if not shutil.which(program):
            pytest.skip(f"needs Chromium: no {program}; apt-get install chromium chromium-driver")
    return chromium


@pytest.fixture(scope="module")
def browser(chromium, tmp_path_factory) -> Iterator[webdriver.Chrome]:
    with chromium.open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def load(browser, chromium):
    """A function that loads a page until its examples are shown: (path, fragment, width, scheme) -> browser."""

    def load_page(path, fragment="", width=1200, scheme="light"):
        chromium.set_screen(browser, width, scheme)
        browser.get_log("browser")
        browser.get("about:blank")  # else a new fragment does not load the page
        browser.get(path.as_uri() + fragment)
        wait(browser)
        return browser

    return load_page


def file_names() -> list[str]:
    return ["inputs", *(f"outputs_{method}" for method in NAMES)]


@pytest.fixture(scope="session")
def read_page() -> Callable[[str], "Reader"]:
    return Reader


@pytest.fixture(scope="session")
def names() -> dict[str, str]:
    """Method -> shown name."""
    return NAMES


@pytest.fixture(scope="session")
def attacks() -> list[str]:
    return ATTACKS


@pytest.fixture(scope="session")
def demonstration() -> str:
    return DEMONSTRATION


def unpack(text: str):
    """The content of a part of the examples."""
    return json.loads(zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS))


class Reader(HTMLParser):
    """The tables of a page by caption, its confusion matrices by data set and method, and the content of its scripts
    and styles."""

    def __init__(self, page: str):
        super().__init__()
        self.tables, self.blocks, self.policy, self.links, self.inside = {}, {}, "", [], None
        self.set = ""
        self.attributes, self.ids, self.references = set(), [], set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.attributes |= attrs.keys()
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.references |= {
            ref[1:] for ref in (attrs.get("href"), attrs.get("aria-labelledby")) if ref and ref[0] == "#"
        }
        if tag == "meta" and "http-equiv" in attrs:
            self.policy = attrs["content"]
        self.links += [attrs[name] for name in ("src", "href", "action", "data") if name in attrs]
        if tag in ("script", "style"):
            self.inside = attrs.get("type", tag)
            assert self.inside not in self.blocks, f"a second {self.inside}"
            self.blocks[self.inside] = ""
        self.set = attrs.get("data-set", self.set)
        if tag == "table":
            self.rows, self.kind = [], f"{self.set}: " if attrs.get("class") == "matrix" else ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td", "caption"):
            self.text = ""

    def handle_endtag(self, tag):
        self.inside = None if tag in ("script", "style") else self.inside
        if tag == "caption":
            self.tables[self.kind + self.text] = self.rows
        if tag in ("th", "td"):
            self.rows[-1].append(self.text)

    @property
    def parts(self):
        """Name -> content of the parts of the examples in the page."""
        return {name: unpack(text) for name, text in map(str.split, self.blocks["text/plain"].splitlines())}

    def handle_data(self, data):
        if self.inside:
            self.blocks[self.inside] += data
        self.text = getattr(self, "text", "") + data
