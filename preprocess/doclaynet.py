"""DocLayNet (Pfitzmann et al. 2022): text blocks of document pages, eleven classes. Also reads DocBank."""

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

from tqdm import tqdm

from llama.templates import read_template
from preprocess.blocks import LABEL_WORDS
from preprocess.build import (
    DataSet,
    Plan,
    PromptOptions,
    Read,
    limited,
    locate,
    read_test,
    read_train,
    write_prompt_file,
)
from preprocess.demonstrations import draw_per_class
from preprocess.errors import InputError
from preprocess.pages import dataset_of_size, docbank_files, read_pages
from preprocess.prompts import Example
from preprocess.units import check_unit

DOCLAYNET = DataSet(
    "doclaynet",
    "docling-project/DocLayNet-v1.2",
    read_template("Block: {text}\nCategory: {label_word}", ["text"], LABEL_WORDS),
    LABEL_WORDS,
    draw_per_class,
    sample="samples/doclaynet",
)
DOCBANK = replace(DOCLAYNET, name="docbank")


@dataclass(frozen=True)
class BlockOptions:
    """How the blocks of pages are read.

    Args:
        train_pages: Number of train pages to draw demonstrations from, the first in order.
        max_demo_words: Maximum number of words of a demonstration's text.
        dataset_size: small, base or large: that part of DocLayNet on the hub, instead of --dataset_path.
        box_unit: Unit of the boxes: pixels, percent, 0..1000 or 0..1; default pixels, for DocBank 0..1000.
    """

    train_pages: int = 500
    max_demo_words: int = 40
    dataset_size: str = ""
    box_unit: str = ""

    def __post_init__(self) -> None:
        for flag in ("train_pages", "max_demo_words"):
            if getattr(self, flag) < 1:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 1 or more")
        check_unit(self.box_unit)


@dataclass(frozen=True)
class DocLayNetConfig:
    """Turn the text blocks of document pages into a prompt file.

    Args:
        blocks: How they are read.
        prompts: The options that all data sets share.
    """

    blocks: BlockOptions = field(default_factory=BlockOptions)
    prompts: PromptOptions = field(default_factory=PromptOptions)

    def __post_init__(self) -> None:
        dataset_of_size(self.blocks.dataset_size, self.prompts.examples.dataset_path)


def preprocess_direct(config: DocLayNetConfig) -> None:
    """Page blocks as prompts of the direct method."""
    preprocess(config, "direct")


def preprocess_channel(config: DocLayNetConfig) -> None:
    """Page blocks as prompts of the channel method."""
    preprocess(config, "channel")


def preprocess(config: DocLayNetConfig, method: str) -> None:
    """Page blocks as prompts of `method`."""
    options, examples = config.blocks, config.prompts.examples
    path = dataset_of_size(options.dataset_size, examples.dataset_path)
    dataset = DOCLAYNET if docbank_files(path) is None else DOCBANK
    plan = locate(dataset, replace(config.prompts, examples=replace(examples, dataset_path=path)), method)
    read = partial(read_pages, box_unit=options.box_unit)
    blocks, dropped, repaired = [], Counter(), Counter()
    for page in tqdm(read_test(read, plan), desc="pages", unit="page", disable=None):
        dropped += Counter(block.label_word for block in page.blocks if not block.text)
        repaired += Counter(what for block in page.blocks if block.text for what in block.repairs())
        blocks += [block.example() for block in page.blocks if block.text]
        if examples.shuffle is None and examples.limit and len(blocks) >= examples.limit:
            break
    test = limited(blocks, plan)
    train = train_blocks(plan, options.train_pages, read) if plan.options.k else []
    more = {"train_pages": options.train_pages, "max_demo_words": options.max_demo_words} | dict(repaired)
    for what, number in repaired.items():
        print(f"{what.replace('_', ' ')}: {number}")
    write_prompt_file(plan, test, train, dropped=dropped, max_demo_words=options.max_demo_words, more=more)


def train_blocks(plan: Plan, train_pages: int, read: Read) -> list[Example]:
    """The blocks with text on the first `train_pages` train pages."""
    first = tqdm(islice(read_train(read, plan), train_pages), desc="train pages", unit="page", disable=None)
    return [block.example() for page in first for block in page.blocks if block.text]
