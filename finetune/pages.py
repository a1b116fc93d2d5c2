"""The pages that a system is trained, chosen and tested on. Blocks and their ids are those of the prompt files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from preprocess.blocks import Block
from preprocess.build import DataSet
from preprocess.doclaynet import DOCBANK, DOCLAYNET, docbank_files, read_pages
from preprocess.errors import InputError

Page = list[Block]


@dataclass(frozen=True)
class PageOptions:
    """Where pages come from.

    Args:
        dataset_path: A hub id, or a folder of the data set; a DocBank folder (or its train and test folders) too.
        train_path: A folder to train on; default the train split of the data set.
        train_pages: Train on so many pages, the first ones; 0 takes all.
        validation_split: The split that the best checkpoint is chosen on; default a part of the train pages.
        validation_fraction: That part.
        limit: Classify so many test blocks, the first ones, as --limit of preprocessing; 0 takes all.
    """

    dataset_path: str = DOCLAYNET.path
    train_path: str = ""
    train_pages: int = 0
    validation_split: str = ""
    validation_fraction: float = 0.1
    limit: int = 0

    def __post_init__(self) -> None:
        for flag in ("train_pages", "limit"):
            if getattr(self, flag) < 0:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 0 or more")
        if not 0 < self.validation_fraction < 1:
            raise InputError(f"--validation_fraction {self.validation_fraction}: expected a number between 0 and 1")


@dataclass(frozen=True)
class Splits:
    """Pages that hold blocks with text, each with these blocks alone.

    Args:
        dropped: Test blocks without text, by class: no prompt file has them either.
        leaked: Train pages that were left out because they are test pages.
    """

    train: list[Page]
    validation: list[Page]
    test: list[Page]
    dropped: dict[str, int]
    leaked: int


def dataset_of(dataset_path: str) -> DataSet:
    """The data set that lies there, for its names."""
    is_docbank = docbank_files(dataset_path) or docbank_files(str(Path(dataset_path) / "test"))
    return DOCBANK if is_docbank else DOCLAYNET


def read_split(dataset_path: str, split: str, flag: str, first: int = 0) -> list[Page] | None:
    """All pages of a split, or the `first` ones; None where there is no such split."""
    inside = str(Path(dataset_path) / split)
    pages = read_pages(inside, "test", flag) if docbank_files(inside) else read_pages(dataset_path, split, flag)
    if pages is None:
        return None
    return list(tqdm(islice(pages, first or None), desc=f"{split} pages", unit="page", disable=None))


def with_text(pages: Sequence[Page]) -> list[Page]:
    """The blocks with text of each page that has one."""
    kept = ([block for block in page if block.text] for page in pages)
    return [page for page in kept if page]


def read_splits(options: PageOptions, seed: int) -> Splits:
    """Read all pages; what is held out for validation is drawn with `seed`.

    Raises:
        InputError: A split that is not there or has no block with text, a page that stands in the test split twice.
    """
    path = options.dataset_path
    everything = read_split(path, "test", "--dataset_path")
    if everything is None:
        raise InputError(f"{path}: no test split in it (--dataset_path)")
    dropped = Counter(block.label_word for page in everything for block in page if not block.text)
    test = needed(with_text(everything), path, "test", "--dataset_path")
    repeated, number = Counter(block.id for page in test for block in page).most_common(1)[0]
    if number > 1:
        raise InputError(f"{path}: {number} test blocks have the id {repeated!r}: a page stands there twice")
    found = with_text(read_train(options))
    names = {page[0].page for page in test}
    train = [page for page in found if page[0].page not in names]
    leaked = len(found) - len(train)
    train = needed(train, options.train_path or path, "train", "--train_path")
    if options.validation_split:
        validation = read_split(path, options.validation_split, "--validation_split")
        if validation is None:
            raise InputError(f"{path}: no {options.validation_split} split in it (--validation_split)")
        validation = needed(with_text(validation), path, options.validation_split, "--validation_split")
    else:
        train, validation = hold_out(train, options.validation_fraction, seed)
    return Splits(train, validation, limited(test, options.limit), dict(dropped), leaked)


def flat(pages: Sequence[Page]) -> list[Block]:
    """All blocks, page after page."""
    return [block for page in pages for block in page]


def needed(pages: list[Page], path: str, split: str, flag: str) -> list[Page]:
    """`pages`, of which there must be some."""
    if not pages:
        other = "" if split == "test" else ", apart from test pages"
        raise InputError(f"{path}: no {split} block with text in it{other} ({flag})")
    return pages


def read_train(options: PageOptions) -> list[Page]:
    """The train split, or all of `--train_path` where that has none."""
    where, flag = (
        (options.train_path, "--train_path") if options.train_path else (options.dataset_path, "--dataset_path")
    )
    for split in ("train", "test") if options.train_path else ("train",):
        pages = read_split(where, split, flag, options.train_pages)
        if pages is not None:
            return pages
    raise InputError(f"{where}: no train split in it; name a folder to train on with --train_path ({flag})")


def hold_out(pages: list[Page], fraction: float, seed: int) -> tuple[list[Page], list[Page]]:
    """Train and validation pages, each in the order of `pages`; at least one of each.

    Raises:
        InputError: There is only one page.
    """
    if len(pages) < 2:
        raise InputError("one train page with text: expected two or more, to choose a checkpoint on (--train_path)")
    count = min(max(1, round(fraction * len(pages))), len(pages) - 1)
    held = set(np.random.default_rng(seed).permutation(len(pages))[:count].tolist())
    train = [page for number, page in enumerate(pages) if number not in held]
    return train, [pages[number] for number in sorted(held)]


def limited(pages: list[Page], limit: int) -> list[Page]:
    """The pages on which the first `limit` blocks stand; blocks after them go, for no token sees what follows it."""
    if not limit:
        return pages
    kept, count = [], 0
    for page in pages:
        if count < limit:
            kept.append(page[: limit - count])
            count += len(kept[-1])
    return kept
