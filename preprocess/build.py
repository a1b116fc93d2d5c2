"""Builds a prompt file from examples; shared by all data sets."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from llama.templates import Template
from preprocess.demonstrations import Draw, cut_words, draw_demonstrations, reordered
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable, encode_json, is_unfinished, meta_path, write_pair
from preprocess.prompts import DEFAULTS, Example, Prompt, to_rows
from preprocess.splits import SHOWN, split_names

Split = TypeVar("Split")
Read = Callable[[str, str, str], Split | None]


@dataclass(frozen=True)
class ExampleOptions:
    """Where examples and demonstrations come from.

    Args:
        dataset_path: A hub id, or a folder or file of the data set; default the sample set or the hub's.
        sample: Without --dataset_path: True reads the sample set in samples/, if the data set has one; --sample=False
            reads the hub's data set.
        demonstrations: Folder or file to draw demonstrations from; default the train split of the data set.
        limit: Keep only the first N test examples; 0 keeps all.
        shuffle: Random seed to shuffle the test examples before --limit; default the order of the data set.
    """

    dataset_path: PathFlag = ""
    sample: bool = True
    demonstrations: PathFlag = ""
    limit: int = 0
    shuffle: int | None = None

    def __post_init__(self) -> None:
        check_counts(self, "limit", "shuffle")


@dataclass(frozen=True)
class PromptOptions:
    """Turn a data set into a prompt file.

    Args:
        data_path: The prompt file to write; default real/inputs_METHOD_DATASET.json, and for the sample set with all
            other options at their defaults samples/inputs_METHOD_DATASET.json.
        k: Demonstrations of each class; 0 is zero-shot; default 1, or the value in the data set's YAML file.
        seed: Random seed of the draw of demonstrations.
        order: Order of the demonstrations: 0 is that of the draw; 1, 2, ... are other orders.
        examples: Where examples come from.
    """

    data_path: PathFlag = ""
    k: int | None = None
    seed: int = 42
    order: int = 0
    examples: ExampleOptions = field(default_factory=ExampleOptions)

    def __post_init__(self) -> None:
        check_counts(self, "k", "seed", "order")


def check_counts(options: Any, *flags: str) -> None:
    """Raises InputError if one of the flags is negative."""
    for flag in flags:
        if (getattr(options, flag) or 0) < 0:
            raise InputError(f"--{flag} {getattr(options, flag)}: expected 0 or more")


@dataclass(frozen=True)
class DataSet:
    """A data set: its name, location and prompts.

    Args:
        name: Name in meta files, tables and the names of prompt files.
        path: A hub id, or a folder or file.
        template: Template of an example.
        label_words: In fixed order.
        draw: Draws the demonstrations from the train split.
        sample: Folder of its sample set; empty if there is none.
        split, train_split: The split to classify, and the split of the demonstrations.
        k: Demonstrations of each class if --k is not given.
        places: `FILE:LINE` of each key in the user's YAML file, for messages.
    """

    name: str
    path: str
    template: Template
    label_words: tuple[str, ...]
    draw: Draw
    sample: str = ""
    split: str = "test"
    train_split: str = "train"
    k: int = 1
    places: Mapping[str, str] = field(default_factory=dict)

    def is_sample(self, origin: str) -> bool:
        """Whether a path is the sample set, or a part of it."""
        return bool(self.sample) and Path(origin).resolve().is_relative_to(Path(self.sample).resolve())

    def table_name(self, origin: str) -> str:
        """Its name in meta files and tables, if read from `origin`; the sample set has a different name."""
        return f"{self.name}_sample" if self.is_sample(origin) else self.name

    def cite(self, key: str, flag: str = "") -> str:
        """The end of a message about `key`: the flag and the line to correct, in brackets."""
        named = ", ".join(filter(None, (flag, self.places.get(key))))
        return f" ({named})" if named else ""


@dataclass(frozen=True)
class Plan:
    """The inputs and the output of one run of preprocessing.

    Args:
        options: As given, with `k` filled in.
        name: Name of the data set in meta files, see `DataSet.table_name`.
        origin: The path or hub id that rows are read from.
        flag: The flag that named the origin, for messages.
        path: The prompt file to write.
    """

    dataset: DataSet
    method: str
    options: PromptOptions
    name: str
    origin: str
    flag: str
    path: Path


def locate(dataset: DataSet, options: PromptOptions, method: str) -> Plan:
    """The plan of a run.

    Raises:
        InputError: The template does not fit the method, or the output cannot be written.
    """
    options = replace(options, k=dataset.k if options.k is None else options.k)
    try:
        dataset.template.form(method)
    except ValueError as error:
        raise InputError(f"--method {method}: {error}{dataset.cite('template')}") from None
    examples = options.examples
    sample = dataset.sample if examples.sample else ""
    origin = examples.dataset_path or sample or dataset.path
    flag = "--dataset_path"
    if not examples.dataset_path:
        flag = ", ".join(filter(None, (flag, dataset.places.get("sample" if sample else "path"))))
    shipped = dataset.is_sample(origin)
    defaults = PromptOptions(k=dataset.k)
    drawn = replace(options, data_path="", examples=replace(examples, dataset_path="", sample=True))
    folder = "samples" if shipped and drawn == defaults else "real"  # other options must not change the sample files
    path = Path(options.data_path or f"{folder}/inputs_{method}_{dataset.name}.json")
    check_writable(path, "--data_path")
    if path.exists() and not meta_path(path).exists() and not is_unfinished(path):
        raise InputError(
            f"{path}: exists without a meta file, so no script wrote it; remove it or choose another --data_path"
        )
    return Plan(dataset, method, options, dataset.table_name(origin), origin, flag, path)


def read_test(read: Read[Split], plan: Plan) -> Split:
    """The split to classify.

    Args:
        read: Reads a split, given the path of the data set, the split's name and the flag that named the path.

    Raises:
        InputError: There is no such split.
    """
    test = read(plan.origin, plan.dataset.split, plan.flag)
    if test is None:
        cite = plan.dataset.cite("split", plan.flag)
        raise InputError(f"{plan.origin}: no {plan.dataset.split} split{found_splits(plan.origin)}{cite}")
    return test


def found_splits(origin: str) -> str:
    """A list of the existing splits, as the end of a message about a missing one."""
    names = split_names(Path(origin)) if Path(origin).is_dir() else []
    return f"; found {', '.join(names[:SHOWN])}" if names else ""


def limited(examples: list[Example], plan: Plan) -> list[Example]:
    """The first `--limit` examples, in the order of `--shuffle` if given.

    Raises:
        InputError: There are no examples.
    """
    if not examples:
        raise InputError(f"{plan.origin}: no {plan.dataset.split} examples with text ({plan.flag})")
    if plan.options.examples.shuffle is not None:
        order = np.random.default_rng(plan.options.examples.shuffle).permutation(len(examples))
        examples = [examples[place] for place in order]
    return examples[: plan.options.examples.limit or None]


def read_train(read: Read[Split], plan: Plan) -> Split:
    """The split to draw demonstrations from: that of `--demonstrations` if given, else the train split.

    Raises:
        InputError: There is no such split.
    """
    dataset, demonstrations = plan.dataset, plan.options.examples.demonstrations
    if demonstrations:
        where, flag, splits = demonstrations, "--demonstrations", (dataset.train_split, dataset.split)
    else:
        where, flag, splits = plan.origin, plan.flag, (dataset.train_split,)
    for split in splits:
        train = read(where, split, flag)
        if train is not None:
            return train
    divide = "" if demonstrations or not dataset.places else "test_size in the YAML file, "
    raise InputError(
        f"{where}: no {dataset.train_split} split to draw demonstrations from; name one with --demonstrations, {divide}"
        f"or --k 0{dataset.cite('train_split')}"
    )


def write_prompt_file(
    plan: Plan,
    test: Sequence[Example],
    train: Sequence[Example],
    *,
    dropped: Mapping[str, int] | None = None,
    max_demo_words: int | None = None,
    more: dict[str, int] | None = None,
) -> None:
    """Draw the demonstrations, write the prompt file and its meta file, and print a summary.

    Args:
        test: The examples to classify.
        train: The examples to draw demonstrations from.
        dropped: Number of test examples without text, by label word.
        max_demo_words: Maximum words of a demonstration's text.
        more: Options specific to the data set, for the meta file.

    Raises:
        InputError: Two examples have the same id, or the demonstrations cannot be drawn.
    """
    dataset, options, examples = plan.dataset, plan.options, plan.options.examples
    shown = draw_demonstrations(dataset.draw, train, test, dataset.label_words, options.k, options.seed)
    if options.order:
        shown = reordered(shown, options.seed, options.order)
    if max_demo_words is not None:
        shown = [cut_words(example, max_demo_words) for example in shown]
    prompt, completion, separator = dataset.template.open(
        plan.method, [(example.text, example.label_word) for example in shown]
    )
    about = [(example.text, dataset.label_words, example.label_word, example.group) for example in test]
    prompts = [
        Prompt(example.id, prompt, completion, *fields, separator) for example, fields in zip(test, about, strict=True)
    ]
    repeated, number = Counter(prompt.id for prompt in prompts).most_common(1)[0]
    if number > 1:
        raise InputError(f"{plan.origin}: {number} test examples have the id {repeated!r}: a page occurs twice")
    zero_shot = dataset.template.open(plan.method, [])
    dropped = dropped or {}
    meta = {
        "dataset": plan.name,
        "dataset_path": plan.origin,
        "split": dataset.split,
        "method": plan.method,
        "k": options.k,
        "seed": options.seed,
        **({"order": options.order} if options.order else {}),
        "limit": examples.limit,
        **({} if examples.shuffle is None else {"shuffle": examples.shuffle}),
        "demonstrations_path": examples.demonstrations or plan.origin,
        **(more or {}),
        "template": {key: value for key, value in zero_shot._asdict().items() if (key, value) not in DEFAULTS.items()},
        "demonstrations": [example.id for example in shown],
        "label_words": list(dataset.label_words),
        "num_examples": len(prompts),
        "train_counts": counts(train, dataset.label_words),
        "test_counts": counts(test, dataset.label_words),
        "dropped_without_text": {word: dropped[word] for word in dataset.label_words if dropped.get(word)},
    }
    write_pair(plan.path, encode_json(to_rows(prompts)), encode_json(meta))
    print(summary(meta, plan.path))


def counts(examples: Sequence[Example], label_words: Sequence[str]) -> dict[str, int]:
    """Label word -> number of examples."""
    counted = Counter(example.label_word for example in examples)
    return {word: counted[word] for word in label_words}


def summary(meta: dict, path: Path) -> str:
    """A summary for the screen: examples of each class, demonstrations, dropped examples, output file."""
    width = max(map(len, meta["label_words"]))
    dropped = meta["dropped_without_text"]
    lines = [f"{meta['dataset']}, {meta['method']}: {meta['num_examples']} examples from {meta['dataset_path']}"]
    lines += [f"  {word:<{width}}  {number:>6}" for word, number in meta["test_counts"].items()]
    shown = ", ".join(map(shorten, meta["demonstrations"])) or "none"
    order = f", order = {meta['order']}" if "order" in meta else ""
    lines.append(f"demonstrations (k = {meta['k']}, seed = {meta['seed']}{order}): {shown}")
    if dropped:
        lines.append("dropped, no text: " + ", ".join(f"{number} {word}" for word, number in dropped.items()))
    lines.append(f"written to {path}")
    return "\n".join(lines)


def shorten(example_id: str) -> str:
    """An id with the page's hash shortened."""
    page, dash, number = example_id.rpartition("-")
    return f"{page[:8]}…{dash}{number}" if len(page) > 20 else example_id
