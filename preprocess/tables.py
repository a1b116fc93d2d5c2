"""Data sets of texts with labels, described by a YAML file: rows -> examples -> prompt file."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from preprocess.build import Plan, PromptOptions, limited, locate, read_test, read_train, write_prompt_file
from preprocess.dataset_config import DatasetConfig, read_dataset_config
from preprocess.delimited import CLASS
from preprocess.demonstrations import divide
from preprocess.errors import InputError
from preprocess.files import PathFlag
from preprocess.labels import Column, read_labels
from preprocess.prompts import METHODS, Example
from preprocess.rows import Row, check_ids, read_row
from preprocess.sources import find_table, is_lone

Adapt = Callable[[DatasetConfig, Sequence[str], str], DatasetConfig]


@dataclass(frozen=True)
class LabelOptions:
    """How numeric labels are read.

    Args:
        first_label: The number of the first class (World in AG News), 0 or 1; required if neither the format of the
            file, nor its YAML file, nor the occurring labels determine it.
    """

    first_label: int | None = None

    def __post_init__(self) -> None:
        if self.first_label not in (None, 0, 1):
            raise InputError(f"--first_label {self.first_label}: expected 0 or 1")


@dataclass(frozen=True)
class PreprocessConfig:
    """Turn a data set that a YAML file describes into a prompt file.

    Args:
        config: The YAML file, such as samples/datasets/sst2.yaml; docs/datasets.md explains its keys. Prompts go to
            real/ unless --data_path is given.
        method: Method the prompts are for: direct (also for calibrated and generate) or channel.
        labels: How labels are read.
        prompts: The options that all data sets share.
    """

    config: PathFlag = ""
    method: str = "direct"
    labels: LabelOptions = field(default_factory=LabelOptions)
    prompts: PromptOptions = field(default_factory=PromptOptions)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"--method {self.method}: expected {' or '.join(METHODS)}")


@dataclass(frozen=True)
class Split:
    """The examples of a split, in order.

    Args:
        examples: The examples.
        dropped: Number of rows whose text is null, by label word.
    """

    examples: list[Example]
    dropped: Counter[str]


def preprocess_config(config: PreprocessConfig) -> None:
    """Write the prompt file of a data set that a YAML file describes."""
    if not config.config:
        raise InputError("--config: expected a YAML file, such as samples/datasets/sst2.yaml")
    dataset_config, options = read_dataset_config(config.config), config.prompts
    path = options.data_path or f"real/inputs_{config.method}_{dataset_config.dataset.name}.json"
    options = replace(options, data_path=path)  # only the data sets' own scripts write to samples/
    preprocess(with_first_label(dataset_config, config.labels.first_label), options, config.method)


def with_first_label(config: DatasetConfig, first: int | None) -> DatasetConfig:
    """The configuration with the value of `--first_label`."""
    if first is None:
        return config
    if not config.labels.numbered:
        raise InputError(f"--first_label {first}: label_words is a mapping{config.dataset.cite('label_words')}")
    return replace(config, labels=replace(config.labels, first=first))


def preprocess(config: DatasetConfig, options: PromptOptions, method: str, adapt: Adapt | None = None) -> None:
    """Write the prompt file of a data set.

    Args:
        adapt: Adapts the configuration to the columns of a split, given the columns and the place of the first row.
    """
    plan = locate(config.dataset, options, method)
    read = partial(read_split, config, adapt=adapt)
    if config.test_size is None:
        first = plan.options.examples.limit if plan.options.examples.shuffle is None else 0
        test, rest = read_test(partial(read, first=first), plan), None
    else:
        test, rest = read_divided(config, read, plan)
    examples = limited(test.examples, plan)
    train: list[Example] = []
    if plan.options.k:
        train = read_train(read, plan).examples if rest is None or plan.options.examples.demonstrations else rest
    if not config.id:  # ids of a single file say test, even for the examples to draw from
        train = [replace(example, id=f"train-{example.id.rpartition('-')[2]}") for example in train]
    more = {} if config.test_size is None else {"test_size": config.test_size, "split_seed": config.split_seed}
    more |= {} if config.labels.first is None else {"first_label": config.labels.first}
    write_prompt_file(plan, examples, train, dropped=test.dropped, more=more)


def read_divided(config: DatasetConfig, read: Callable[..., Split | None], plan: Plan) -> tuple[Split, list[Example]]:
    """The part to classify, and the rest, of a data set without a test split: a file, or a train split.

    Raises:
        InputError: It has a test split, or nothing to divide.
    """
    dataset, path = plan.dataset, Path(plan.origin)
    name = dataset.split if is_lone(path) else dataset.train_split
    has_splits = path.is_dir() and not is_lone(path)
    if has_splits and find_table(plan.origin, dataset.split, plan.flag, form=config.form, **config.hub) is not None:
        raise InputError(f"{path}: has a {dataset.split} split, so test_size cannot be used{dataset.cite('test_size')}")
    whole = read(plan.origin, name, plan.flag)
    if whole is None:
        raise InputError(f"{path}: no {name} split for test_size to divide{dataset.cite('test_size', plan.flag)}")
    if not whole.examples:
        return whole, []
    tested, rest = divide(whole.examples, dataset.label_words, config.test_size, config.split_seed)
    return Split(tested, whole.dropped), rest


def read_split(
    config: DatasetConfig,
    dataset_path: str,
    split: str,
    flag: str = "--dataset_path",
    adapt: Adapt | None = None,
    first: int = 0,
) -> Split | None:
    """The examples of a split; None if there is no such split.

    Args:
        adapt: As for `preprocess`.
        first: Number of examples, the first in order; 0: all. Only their rows are read, and further ones if these do
            not determine the meaning of the labels.

    Raises:
        InputError: A row is invalid; the message names file and row.
    """
    source = find_table(dataset_path, split, flag, config.dataset.split, config.form, **config.hub)
    if source is None:
        return None
    if source.headerless:
        config = headerless(config)
    lines: list[str] = []
    rows: list[Row] = []

    def place(number: int | None) -> str:
        row = "" if number is None else f" row {number}" + f" ({lines[number]})" * bool(lines[number])
        return f"{dataset_path}: {split}{row}"

    def label_words() -> list[str]:
        labels, names = [row.label for row in rows], source.class_names(config.label)
        column = Column(config.label, labels, names, place, config.dataset.cite("label_words"))
        return read_labels(config.labels, column)

    records = source.records(None if adapt else needed(config))
    words: list[str] = []
    texts, enough = 0, first  # texts so far; number of texts after which the labels are interpreted next
    for number, (line, row) in enumerate(tqdm(records, desc=f"{split} rows", unit="row", disable=None)):
        lines.append(line)
        if adapt and number == 0 and not source.headerless:
            config = adapt(config, list(row), place(0))
        rows.append(read_row(config, row, place(number)))
        texts += rows[-1].text is not None
        if first and texts >= enough:
            with suppress(InputError):  # later rows may resolve what is ambiguous so far
                words = label_words()
                break
            enough = 2 * texts
    words = words or (label_words() if rows else [])
    check_ids(config, rows, place)
    return examples_of(rows, words, split, first)


def examples_of(rows: Sequence[Row], words: Sequence[str], split: str, first: int) -> Split:
    """The first `first` rows with a text as examples, 0: all; rows without a text are counted."""
    examples, dropped = [], Counter[str]()
    for number, (row, word) in enumerate(zip(rows, words, strict=True)):
        if row.text is None:
            dropped[word] += 1
            continue
        examples.append(Example(row.id or f"{split}-{number}", row.text, word, row.group))
        if len(examples) == first:
            break
    return Split(examples, dropped)


def needed(config: DatasetConfig) -> set[str]:
    """The top-level columns that are read."""
    columns = (*config.text, config.label, config.id, config.group)
    return {column.split(".")[0] for column in columns if column}


def headerless(config: DatasetConfig) -> DatasetConfig:
    """The configuration for csv without a header: the class, counted from 1 by default, then the fields.

    If the text columns are not among the fields, all fields are joined unchanged, as in the hub's AG News.
    """
    labels, fields = config.labels, config.form.headerless
    if labels.numbered and labels.first is None:
        labels = replace(labels, first=1)  # the format of Zhang et al. (2015)
    named = set(config.text) <= set(fields)
    return replace(config, text=config.text if named else fields, label=CLASS, labels=labels, spaced=named)
