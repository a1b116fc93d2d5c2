"""AG News (Zhang et al. 2015): title and description of a news article, four classes.

`samples/datasets/ag_news.yaml` describes it; this module reads further variants. Numeric classes count from 1 in the
original csv, which has no header, and in the column `Class Index`; named classes count from 0. In other files, a 0
proves that they count from 0, a 4 that they count from 1. A file with neither needs --first_label.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from preprocess import tables
from preprocess.build import PromptOptions
from preprocess.dataset_config import DatasetConfig, read_dataset_config
from preprocess.errors import InputError
from preprocess.labels import Labels
from preprocess.tables import LabelOptions, Split

CONFIG = Path(__file__).resolve().parent.parent / "samples" / "datasets" / "ag_news.yaml"
LABEL_WORDS = ("World", "Sports", "Business", "Science and technology")  # as in the YAML file
FIELDS = ("title", "description")
LABEL_COLUMNS = ("label", "class index", "class")
NAMES = {word.lower(): word for word in LABEL_WORDS} | {"sci/tech": LABEL_WORDS[3]}


@dataclass(frozen=True)
class AgNewsConfig:
    """Turn AG News into a prompt file.

    Args:
        labels: How labels are read.
        prompts: The options that all data sets share.
    """

    labels: LabelOptions = field(default_factory=LabelOptions)
    prompts: PromptOptions = field(default_factory=PromptOptions)


def preprocess_direct(config: AgNewsConfig) -> None:
    """AG News as prompts of the direct method."""
    preprocess(config.prompts, "direct", config.labels.first_label)


def preprocess_channel(config: AgNewsConfig) -> None:
    """AG News as prompts of the channel method."""
    preprocess(config.prompts, "channel", config.labels.first_label)


def preprocess(options: PromptOptions, method: str, first_label: int | None = None) -> None:
    """AG News as prompts of `method`."""
    tables.preprocess(ag_news(first_label), options, method, with_columns)


def ag_news(first_label: int | None = None) -> DatasetConfig:
    """The configuration of AG News. Messages name flags, not the YAML file, which the user does not see."""
    config = read_dataset_config(CONFIG)
    labels = Labels(LABEL_WORDS, NAMES, numbered=True, first=first_label, ignore_case=True)
    return replace(config, dataset=replace(config.dataset, places={}), labels=labels)


def read_split(
    dataset_path: str, split: str, flag: str = "--dataset_path", first_label: int | None = None, first: int = 0
) -> Split | None:
    """The examples of a split in any variant, in order; None if there is no such split."""
    return tables.read_split(ag_news(first_label), dataset_path, split, flag, with_columns, first)


def with_columns(config: DatasetConfig, columns: Sequence[str], place: str) -> DatasetConfig:
    """The configuration for a file with these columns, in any order: text, or title and description; label, or class.

    Raises:
        InputError: Columns are missing; the message begins with `place`.
    """
    names = {name.lower(): name for name in columns}
    label = next((name for name in LABEL_COLUMNS if name in names), None)
    if label is None or not ("text" in names or all(name in names for name in FIELDS)):
        expected = "a column text, or title and description, and a column label, Class Index or class"
        raise InputError(f"{place}: expected {expected}; found {', '.join(columns)}")
    if len(names) < len(columns):
        raise InputError(f"{place}: columns differ only in case: {', '.join(columns)}")
    labels = config.labels
    if label == "class index" and labels.first is None:
        labels = replace(labels, first=1)
    spaced = "text" in names
    text = (names["text"],) if spaced else tuple(names[name] for name in FIELDS)
    return replace(config, text=text, label=names[label], labels=labels, spaced=spaced)
