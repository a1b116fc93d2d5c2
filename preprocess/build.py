"""From examples to a prompt file: the part that all data sets share."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from preprocess.errors import InputError
from preprocess.files import check_writable, encode_json, meta_path, write_bytes, write_json
from preprocess.prompts import Example, Prompt, template, to_rows

Split = TypeVar("Split")


@dataclass(frozen=True)
class PromptOptions:
    """Turn a data set into a prompt file.

    Args:
        dataset_path: A hub id, or a folder or file of the data set; without it the shipped sample set or the hub's.
        sample: Without --dataset_path: the sample set shipped in samples/, or with --sample=False the hub's.
        data_path: The prompt file to write; default real/inputs_METHOD_DATASET.json, and for the sample set with all
            other options at their defaults samples/inputs_METHOD_DATASET.json.
        demonstrations: Folder or file to draw demonstrations from; default the train split of the data set.
        k: Demonstrations of each class; 0 is zero-shot.
        seed: Of the draw of demonstrations.
        limit: Keep so many test examples, the first ones; 0 keeps all.
    """

    dataset_path: str = ""
    sample: bool = True
    data_path: str = ""
    demonstrations: str = ""
    k: int = 1
    seed: int = 42
    limit: int = 0

    def __post_init__(self) -> None:
        for flag in ("k", "seed", "limit"):
            if getattr(self, flag) < 0:
                raise InputError(f"--{flag} {getattr(self, flag)}: expected 0 or more")


@dataclass(frozen=True)
class Source:
    """What a data set gives to the prompts.

    Args:
        dataset: Its name in meta files and tables.
        origin: The path or hub id that it was read from.
        noun: What a text is called in the prompt.
        label_words: In their fixed order.
        test: The examples to classify.
        train: The examples to draw demonstrations from.
        demonstrations: Those that were drawn.
        dropped: Test blocks without text, by class.
    """

    dataset: str
    origin: str
    noun: str
    label_words: tuple[str, ...]
    test: Sequence[Example]
    train: Sequence[Example]
    demonstrations: Sequence[Example]
    dropped: Counter[str]


def locate(options: PromptOptions, method: str, dataset: str, sample_path: str, hub_id: str) -> tuple[str, str, Path]:
    """Where to read, what the data set is called, and where to write; the last is checked now, before any work."""
    origin = options.dataset_path or (sample_path if options.sample else hub_id)
    shipped = Path(origin).resolve().is_relative_to(Path(sample_path).resolve())  # or a part of it
    drawn = PromptOptions(k=options.k, seed=options.seed, limit=options.limit, demonstrations=options.demonstrations)
    folder = "samples" if shipped and drawn == PromptOptions() else "real"  # the shipped files stay what they are
    path = Path(options.data_path or f"{folder}/inputs_{method}_{dataset}.json")
    check_writable(path, "--data_path")
    if path.exists() and not meta_path(path).exists():
        raise InputError(
            f"{path}: exists without a meta file, so no script wrote it; remove it or name another --data_path"
        )
    return origin, f"{dataset}_sample" if shipped else dataset, path


def limited(examples: list[Example], options: PromptOptions, origin: str) -> list[Example]:
    """The first `--limit` examples.

    Raises:
        InputError: There is none at all.
    """
    if not examples:
        raise InputError(f"{origin}: no test examples with text in it (--dataset_path)")
    return examples[: options.limit or None]


def read_train(read: Callable[[str, str, str], Split | None], options: PromptOptions, origin: str) -> Split:
    """What demonstrations are drawn from: the train split of `--demonstrations`, or all of it; else our own.

    Args:
        read: Gives a split of a data set, from its path, the split's name and the flag that named the path.

    Raises:
        InputError: There is no such split.
    """
    if options.demonstrations:
        where, flag, splits = options.demonstrations, "--demonstrations", ("train", "test")
    else:
        where, flag, splits = origin, "--dataset_path", ("train",)
    for split in splits:
        train = read(where, split, flag)
        if train is not None:
            return train
    raise InputError(f"{where}: no train split to draw demonstrations from; name one with --demonstrations, or --k 0")


def write_prompt_file(
    source: Source, method: str, options: PromptOptions, path: Path, more: dict[str, int] | None = None
) -> None:
    """Write the prompts and, beside them, the meta file; print one screen. `more` are options of one data set alone."""
    prompt, completion = template(method, source.noun, source.demonstrations)
    prompts = [
        Prompt(example.id, prompt, completion, example.text, source.label_words, example.label_word, example.group)
        for example in source.test
    ]
    repeated, number = Counter(prompt.id for prompt in prompts).most_common(1)[0]
    if number > 1:
        raise InputError(f"{source.origin}: {number} test examples have the id {repeated!r}: a page stands there twice")
    open_prompt, _ = template(method, source.noun, [])
    meta = {
        "dataset": source.dataset,
        "dataset_path": source.origin,
        "split": "test",
        "method": method,
        "k": options.k,
        "seed": options.seed,
        "limit": options.limit,
        "demonstrations_path": options.demonstrations or source.origin,
        **(more or {}),
        "template": {"prompt": open_prompt, "completion": completion},
        "demonstrations": [example.id for example in source.demonstrations],
        "label_words": list(source.label_words),
        "num_examples": len(prompts),
        "train_counts": counts(source.train, source.label_words),
        "test_counts": counts(source.test, source.label_words),
        "dropped_without_text": {word: source.dropped[word] for word in source.label_words if source.dropped[word]},
    }
    content = encode_json(to_rows(prompts))
    meta_path(path).unlink(missing_ok=True)  # an old one must not speak for the new prompts
    write_bytes(path, content)
    write_json(meta_path(path), meta)
    print(summary(meta, path))


def counts(examples: Sequence[Example], label_words: Sequence[str]) -> dict[str, int]:
    counted = Counter(example.label_word for example in examples)
    return {word: counted[word] for word in label_words}


def summary(meta: dict, path: Path) -> str:
    """One screen: examples a class, demonstrations, dropped blocks, where the file went."""
    width = max(map(len, meta["label_words"]))
    dropped = meta["dropped_without_text"]
    lines = [f"{meta['dataset']}, {meta['method']}: {meta['num_examples']} examples from {meta['dataset_path']}"]
    lines += [f"  {word:<{width}}  {number:>6}" for word, number in meta["test_counts"].items()]
    shown = ", ".join(map(shorten, meta["demonstrations"])) or "none"
    lines.append(f"demonstrations (k = {meta['k']}, seed = {meta['seed']}): {shown}")
    if dropped:
        lines.append("dropped, no text: " + ", ".join(f"{number} {word}" for word, number in dropped.items()))
    lines.append(f"written to {path}")
    return "\n".join(lines)


def shorten(example_id: str) -> str:
    """An id without the middle of a page's hash."""
    page, dash, number = example_id.rpartition("-")
    return f"{page[:8]}…{dash}{number}" if len(page) > 20 else example_id
