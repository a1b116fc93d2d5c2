"""What many tests need: real data where it is at hand, random checkpoints, generated pages, in which a word tells the
class, commands as a user runs them."""

import contextlib
import importlib
import inspect
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch

from llama.formats.meta import Params
from llama.parallel import start
from llama.params import weight_shapes
from preprocess.blocks import LABEL_WORDS

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / os.environ.get("LLAMA_CLASSIFICATION_DATA", "../shared/data")
TELLING = ("figure", "note", "equals", "item", "page", "chapter", "photo", "overview", "rows", "the", "report")
FILLING = ("rain", "market", "play", "today", "world", "news", "game", "price", "team", "city", "work", "year")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several tests run at once
os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the hub
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, as would what tests start
torch.set_num_threads(1)

if torch.cuda.is_available():
    # it registers its CUDA kernels when it is imported, if there is a device, which tests on the CPU hide
    with contextlib.suppress(ImportError):
        importlib.import_module("bitsandbytes")

CUDA, VISIBLE = torch.cuda.is_available(), os.environ.get("CUDA_VISIBLE_DEVICES")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `device` itself runs on the CPU and, marked `cuda`, on a GPU."""
    if "device" in inspect.signature(metafunc.function).parameters:
        devices = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
        metafunc.parametrize("device", devices, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that are not marked `cuda` run on the CPU on every machine, and so do the processes that they start."""
    on_cuda = item.get_closest_marker("cuda") is not None
    if on_cuda and not CUDA:
        pytest.skip("needs a CUDA device")
    if CUDA:
        torch.cuda.is_available = lambda: on_cuda
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        if not on_cuda or VISIBLE is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = VISIBLE if on_cuda else ""


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """cpu or cuda: the device of this test and of its models."""
    return getattr(request, "param", "cpu")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of third-party data, which is not part of the project."""
    if not DATA.is_dir():
        pytest.skip(f"needs the data sets, which are no part of the project, at {DATA} (LLAMA_CLASSIFICATION_DATA)")
    return DATA


@pytest.fixture(scope="session")
def one_process(device: str) -> None:
    """The process group of one process, which fairscale's layers need."""
    start()


@pytest.fixture(scope="session")
def tokenizer_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sentencepiece model like LLaMA's: byte-pair encoding, byte fallback, pad id -1."""
    words = (
        "Article Block Category World Sports Business Science and technology the a of rain stopped play today market"
    )
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"{words} {number}: {words.lower()}" for number in range(200)]),
        model_writer=model,
        model_type="bpe",
        vocab_size=384,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=True,
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture(scope="session")
def make_checkpoint(tokenizer_path: Path) -> Callable[..., Path]:
    """A function that writes a random checkpoint in Meta's format: (folder, shards, seed, **params) -> folder."""

    def make(folder: Path, shards: int = 1, seed: int = 0, **params: object) -> Path:
        stored = {"dim": 32, "n_layers": 2, "n_heads": 4, "multiple_of": 8, "norm_eps": 1e-5, "vocab_size": -1} | params
        generator = torch.Generator().manual_seed(seed)
        args = Params(**stored).model_args(vocab_size=384)
        parts: list[dict[str, torch.Tensor]] = [{} for _ in range(shards)]
        for key, (shape, cut) in weight_shapes(args).items():
            cut = 1 if key == "tok_embeddings.weight" else cut  # as in LLaMA 1 and 2
            weight = torch.randn(shape, generator=generator) * (0.3 if cut is not None else 0.1) + (cut is None)
            pieces = [weight] * shards if cut is None else weight.chunk(shards, dim=cut)
            for part, piece in zip(parts, pieces, strict=True):
                part[key] = piece.clone()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "params.json").write_text(json.dumps(stored))
        (folder / "tokenizer.model").write_bytes(tokenizer_path.read_bytes())
        for number, part in enumerate(parts):
            torch.save(part, folder / f"consolidated.{number:02d}.pth")
        return folder

    return make


@pytest.fixture(scope="session")
def run_script() -> Callable[..., subprocess.CompletedProcess]:
    """A function that runs a script of the project as a user does: (*arguments, processes=None) -> finished process.

    With `processes`, it runs under torchrun with this many processes, otherwise as plain python.
    """

    def run(
        *arguments: object, processes: int | None = None, cwd: Path = ROOT, timeout: float = 300
    ) -> subprocess.CompletedProcess:
        launcher = [sys.executable]
        if processes is not None:
            launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        script, *rest = map(str, arguments)
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"}
        return run_in_session([*launcher, str(ROOT / script), *rest], timeout, cwd=cwd, env=environment)

    return run


def run_in_session(command: list[str], timeout: float, **options: Any) -> subprocess.CompletedProcess:
    """Run a command with what it starts in a session of its own. After `timeout` seconds all of it is aborted, and the
    test fails with the output: with PYTHONFAULTHANDLER that has where each process waited."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes, **options) as process:
        try:
            output = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGABRT)
            output = process.communicate(timeout=60)
            said = "\n".join(part[-10_000:] for part in output)
            pytest.fail(f"{command[-1]}: over {timeout:.0f} s: {' '.join(command)}\n{said}", pytrace=False)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, *output)


def generated_page(name: str, generator: np.random.Generator, blocks: int) -> dict[str, Any]:
    """A row in DocLayNet v1.2's format; the first word of a block determines its class."""
    labels = generator.integers(len(LABEL_WORDS), size=blocks).tolist()
    step = min(30, 1000 / blocks)  # all stand on the page
    boxes = [[50.0, 10.0 + step * number, 900.0, 2 / 3 * step] for number in range(blocks)]
    cells = []
    for label, box in zip(labels, boxes, strict=True):
        words = [TELLING[label], *generator.choice(FILLING, size=int(generator.integers(2, 6)))]
        cells.append([{"text": " ".join(words), "bbox": box}])
    return {
        "bboxes": boxes,
        "category_id": [label + 1 for label in labels],
        "pdf_cells": cells,
        "metadata": {"page_hash": name, "coco_width": 1025, "coco_height": 1025},
    }


def draw(row: dict[str, Any], path: Path) -> None:
    """The image of a page at a fifth of its size, with the words in their boxes."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (205, 205), "white")
    pen = ImageDraw.Draw(image)
    for (x, y, width, height), cells in zip(row["bboxes"], row["pdf_cells"], strict=True):
        pen.rectangle((x / 5, y / 5, (x + width) / 5, (y + height) / 5), outline="gray")
        pen.text((x / 5, y / 5), cells[0]["text"], fill="black")
    image.save(path)


def write_forms(folder: Path) -> None:
    """Data in FUNSD's format: three train forms and two test forms."""
    from PIL import Image

    for split, count in (("training_data", 3), ("testing_data", 2)):
        for number in range(count):
            words = [{"text": text, "box": [10 + 40 * n, 20, 40 + 40 * n, 40]} for n, text in enumerate("abc")]
            form = [{"label": label, "words": words} for label in ("question", "answer", "other")]
            page = folder / split / "annotations" / f"{split}{number}.json"
            image = folder / split / "images" / f"{split}{number}.png"
            for path in (page, image):
                path.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(json.dumps({"form": form}))
            Image.new("RGB", (200, 100), "white").save(image)


@pytest.fixture(scope="session")
def write_pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """(train=12, test=4, blocks=8, seed=0, images=False) -> a folder with train and test pages."""

    def write(train: int = 12, test: int = 4, blocks: int = 8, seed: int = 0, images: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("pages")
        generator = np.random.default_rng(seed)
        for split, count in (("train", train), ("test", test)):
            for number in range(count):
                path = folder / split / f"{number:03d}.json"
                path.parent.mkdir(exist_ok=True)
                row = generated_page(f"{split}{number}", generator, blocks)
                path.write_text(json.dumps(row))
                if images:
                    draw(row, path.with_suffix(".png"))
        return folder

    return write


@pytest.fixture(scope="session")
def pages(write_pages: Callable[..., Path]) -> Path:
    """A small data set, which tests do not change."""
    return write_pages()


@pytest.fixture(scope="session")
def pages_with_images(write_pages: Callable[..., Path]) -> Path:
    """The same, with an image of each page."""
    return write_pages(images=True)
