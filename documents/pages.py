"""Train, validation and test pages of a fine-tuned system. Blocks have the same ids as in the prompt files."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from preprocess.blocks import Block, Page
from preprocess.build import DataSet
from preprocess.doclaynet import DOCBANK, DOCLAYNET
from preprocess.errors import InputError
from preprocess.files import PathFlag
from preprocess.pages import dataset_of_size, docbank_files
from preprocess.units import check_unit

Read = Callable[[str, str, str, bool], Iterator[Page] | None]
Keep = Callable[[Page], Page]


@dataclass(frozen=True)
class PageOptions:
    """The data set and its splits.

    Args:
        dataset_path: A hub id, or a folder of the data set; default the data set on the hub.
        train_path: Folder of the train pages; default the train split of the data set.
        train_pages: Number of train pages, the first in order; 0 uses all.
        validation_split: Split that selects the best checkpoint; default a part of the train pages, or the test pages
            if there is only one train page.
        validation_fraction: That part, between 0 and 1.
        test_split: Split to predict. Its pages are excluded from training, unless it is the train split itself.
        limit: Classify only the first N test blocks, like --limit of preprocessing; 0 classifies all.
        dataset_size: small, base or large: that part of DocLayNet on the hub, instead of --dataset_path.
        box_unit: Unit of the boxes: pixels, percent, 0..1000 or 0..1; default pixels, for rows and DocBank 0..1000.
    """

    dataset_path: PathFlag = ""
    train_path: PathFlag = ""
    train_pages: int = 0
    validation_split: str = ""
    validation_fraction: float = 0.1
    test_split: str = "test"
    limit: int = 0
    dataset_size: str = ""
    box_unit: str = ""

    def __post_init__(self) -> None:
        for flag in ("train_pages", "limit"):
            if getattr(self, flag) < 0:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 0 or more")
        if not 0 < self.validation_fraction < 1:
            raise InputError(f"--validation_fraction {self.validation_fraction}: expected a number between 0 and 1")
        if not self.test_split:
            raise InputError("--test_split: expected the name of a split")
        check_unit(self.box_unit)
        dataset_of_size(self.dataset_size, self.dataset_path)

    @property
    def path(self) -> str:
        """The hub id or folder of the data set; empty if unset."""
        return dataset_of_size(self.dataset_size, self.dataset_path)


@dataclass(frozen=True)
class Source:
    """A data set, and how its pages are read.

    Args:
        name: Name in file names.
        label_words: In fixed order.
        read: Returns the pages of a split one by one, given a path, the split's name, the flag that named the path,
            and whether to read images; None if there is no such split.
        path: A hub id or a folder.
        table_name: Name in tables.
        named: Whether page names are unique over all splits. Rows are numbered within each split, so they are
            identified by their words and boxes instead.
        repairs: Counts of the repairs in the pages read so far.
    """

    name: str
    label_words: tuple[str, ...]
    read: Read
    path: str
    table_name: str
    named: bool = True
    repairs: Counter[str] = field(default_factory=Counter)

    def identity(self, page: Page) -> Any:
        """A key that is the same for two copies of a page with words."""
        if self.named:
            return page.blocks[0].page
        return tuple((block.text, block.box) for block in page.blocks)


@dataclass(frozen=True)
class Splits:
    """The pages of all splits, without blocks that have no text.

    Args:
        dropped: Number of test blocks without text, by class; prompt files do not contain them either.
        leaked: Number of train pages excluded because they are in the test or validation split.
        blank: Number of pages excluded because they have no text, by split.
        repairs: Counts of the repairs.
    """

    train: list[Page]
    validation: list[Page]
    test: list[Page]
    dropped: dict[str, int]
    leaked: int
    blank: dict[str, int]
    repairs: dict[str, int]

    def by_name(self) -> dict[str, list[Page]]:
        """The pages of each split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass
class Split:
    """The pages of one split that have text.

    Args:
        dropped: Number of blocks without text, by class.
        blank: Number of pages without text.
    """

    pages: list[Page] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    blank: int = 0


def dataset_of(dataset_path: str) -> DataSet:
    """The data set at a path, DocLayNet or DocBank."""
    return DOCLAYNET if docbank_files(dataset_path) is None else DOCBANK


def read_splits(options: PageOptions, seed: int, source: Source, keep: Keep | None = None) -> Splits:
    """Read all pages.

    Args:
        seed: Random seed of the pages held out for validation.
        keep: Converts a page with its image and its blocks with text, as pages stream, so that one image at a time is
            in memory. For the test split it is called until `limit` blocks are read. With it the last test page stays
            whole, because a model with images sees whole pages.

    Raises:
        InputError: A split is missing or has no text, or a page occurs twice in the test split.
    """
    path, chosen, tested = source.path, options.validation_split, options.test_split
    flag = "--dataset_path" if tested == "test" else "--test_split"
    test = require_split(read_split(source, path, tested, flag, keep, limit=options.limit), path, tested, flag)
    repeated, number = Counter(block.id for block in flat(test.pages)).most_common(1)[0]
    if number > 1:
        raise InputError(f"{path}: {number} {tested} blocks have the id {repeated!r}: a page occurs twice")
    read = read_train(options, source, keep)
    train = read.pages if tests_train(options, source) else without_test_pages(read.pages, test.pages, source)
    leaked = len(read.pages) - len(train)
    require_pages(train, options.train_path or path, "train", "--train_path", " besides test pages")
    blank = {"train": read.blank, tested: test.blank}
    if chosen:
        held = require_split(
            read_split(source, path, chosen, "--validation_split", keep), path, chosen, "--validation_split"
        )
        validation, blank[chosen] = held.pages, held.blank
        if chosen != "train":
            train = without_test_pages(train, validation, source)
            leaked = len(read.pages) - len(train)
            require_pages(
                train, options.train_path or path, "train", "--train_path", " besides those of test and validation"
            )
    tests = limited(test.pages, options.limit, whole=keep is not None)
    if not chosen and len(train) > 1:
        train, validation = hold_out(train, options.validation_fraction, seed)
    elif not chosen:
        validation = tests
        print(f"one train page with text: the checkpoint is chosen on the {tested} pages (--validation_split)")
    return Splits(train, validation, tests, dict(test.dropped), leaked, blank, dict(source.repairs))


def read_split(
    source: Source, path: str, split: str, flag: str, keep: Keep | None, first: int = 0, limit: int = 0
) -> Split | None:
    """The pages of a split; None if there is no such split.

    Args:
        first: Number of pages, the first in order; 0: all.
        limit: Call `keep` until this number of blocks with text is read; 0: on all pages.
    """
    pages = source.read(path, split, flag, keep is not None)
    if pages is None:
        return None
    read, blocks = Split(), 0
    for page in tqdm(islice(pages, first or None), desc=f"{split} pages", unit="page", disable=None):
        read.dropped.update(block.label_word for block in page.blocks if not block.text)
        page = replace(page, blocks=[block for block in page.blocks if block.text])
        if not page.blocks:
            read.blank += 1
            continue
        is_wanted = keep is not None and not (limit and blocks >= limit)
        read.pages.append(keep(page) if is_wanted else replace(page, image=None))
        blocks += len(page.blocks)
    return read


def flat(pages: Sequence[Page]) -> list[Block]:
    """All blocks, page after page."""
    return [block for page in pages for block in page.blocks]


def require_split(split: Split | None, path: str, name: str, flag: str) -> Split:
    """`split`; InputError if it is missing or has no text."""
    if split is None:
        raise InputError(f"{path}: no {name} split ({flag})")
    require_pages(split.pages, path, name, flag)
    return split


def require_pages(pages: list[Page], path: str, split: str, flag: str, other: str = "") -> None:
    """Raises InputError if a split has no pages left."""
    if not pages:
        raise InputError(f"{path}: no {split} block with text{other} ({flag})")


def read_train(options: PageOptions, source: Source, keep: Keep | None) -> Split:
    """The train split, or all of `--train_path` if that has no splits."""
    where, flag = (options.train_path, "--train_path") if options.train_path else (source.path, "--dataset_path")
    for split in ("train", "test") if options.train_path else ("train",):
        read = read_split(source, where, split, flag, keep, options.train_pages)
        if read is not None:
            return read
    raise InputError(f"{where}: no train split; give a folder to train on with --train_path ({flag})")


def tests_train(options: PageOptions, source: Source) -> bool:
    """Whether the user asked to test on the train pages."""
    return options.test_split == "train" and Path(options.train_path or source.path) == Path(source.path)


def without_test_pages(train: list[Page], test: list[Page], source: Source) -> list[Page]:
    """The train pages that are not among the test pages."""
    tested = {source.identity(page) for page in test}
    return [page for page in train if source.identity(page) not in tested]


def hold_out(pages: list[Page], fraction: float, seed: int) -> tuple[list[Page], list[Page]]:
    """Train and validation pages, each in the order of `pages`; at least one of each.

    Raises:
        InputError: There is only one page.
    """
    if len(pages) < 2:
        raise InputError("one train page with text: expected at least two, to select a checkpoint (--train_path)")
    count = min(max(1, round(fraction * len(pages))), len(pages) - 1)
    held = set(np.random.default_rng(seed).permutation(len(pages))[:count].tolist())
    train = [page for number, page in enumerate(pages) if number not in held]
    return train, [pages[number] for number in sorted(held)]


def limited(pages: list[Page], limit: int, whole: bool) -> list[Page]:
    """The pages with the first `limit` blocks.

    Args:
        whole: Keep the remaining blocks of the last page, as context of a bidirectional model.
    """
    if not limit:
        return pages
    kept, count = [], 0
    for page in pages:
        if count < limit:
            kept.append(page if whole else replace(page, blocks=page.blocks[: limit - count]))
            count += len(page.blocks)
    return kept
