"""Draws of demonstrations: the k examples of each class in a few-shot prompt. A draw is determined by its seed."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from preprocess.errors import InputError
from preprocess.prompts import Example

Draw = Callable[[Sequence[Example], Sequence[str], int, int], list[Example]]


def draw_stratified(examples: Sequence[Example], label_words: Sequence[str], k: int, seed: int) -> list[Example]:
    """k of each class by the stratified split of `datasets`, as in the original system (on AG News, the same prompt).

    Args:
        examples: The train split, in order.
        label_words: The label words, in order.

    Raises:
        InputError: The split does not give k of each class: it keeps proportions, so classes must be nearly balanced.
    """
    count = k * len(label_words)
    what = f"--k {k}: no stratified draw of {count} from {len(examples)} train examples"
    drawn, _ = stratified(examples, label_words, seed, what, train_size=count)
    demonstrations = [examples[place] for place in drawn]
    check_counts(demonstrations, label_words, k, "the stratified draw")
    return demonstrations


def divide(
    examples: Sequence[Example], label_words: Sequence[str], test_size: int | float, seed: int
) -> tuple[list[Example], list[Example]]:
    """(test, rest): a stratified part with this number or fraction of the examples, and the others, both in order.

    Raises:
        InputError: The classes are too small.
    """
    what = f"test_size {test_size}: no stratified part of {len(examples)} examples"
    rest, test = stratified(examples, label_words, seed, what, test_size=test_size)
    return [examples[place] for place in sorted(test)], [examples[place] for place in sorted(rest)]


def stratified(
    examples: Sequence[Example], label_words: Sequence[str], seed: int, what: str, **size: int | float
) -> tuple[list[int], list[int]]:
    """The indices of the train and the test part, in the order of `train_test_split` of `datasets`.

    Args:
        what: The beginning of error messages.
        size: `train_size` or `test_size`.

    Raises:
        InputError: There is no such split.
    """
    from datasets import ClassLabel, Dataset, Features, Value

    if max(size.values()) >= len(examples):
        raise InputError(f"{what}: too few")
    labels = [label_words.index(example.label_word) for example in examples]
    features = Features({"place": Value("int64"), "label": ClassLabel(names=list(label_words))})
    table = Dataset.from_dict({"place": list(range(len(labels))), "label": labels}, features)
    try:
        parts = table.train_test_split(**size, seed=seed, stratify_by_column="label")
    except ValueError as error:
        raise InputError(f"{what}: {error}") from None
    return parts["train"]["place"][:], parts["test"]["place"][:]


def draw_per_class(examples: Sequence[Example], label_words: Sequence[str], k: int, seed: int) -> list[Example]:
    """k of each class at random, then shuffled; for imbalanced classes.

    Raises:
        InputError: A class has fewer than k examples.
    """
    generator = np.random.default_rng(seed)
    drawn = []
    for word in label_words:
        members = [example for example in examples if example.label_word == word]
        if len(members) < k:
            raise InputError(f"--k {k}: class {word} has {len(members)} examples to draw demonstrations from")
        drawn += [members[place] for place in generator.choice(len(members), k, replace=False)]
    return [drawn[place] for place in generator.permutation(len(drawn))]


def draw_demonstrations(
    draw: Draw, train: Sequence[Example], test: Sequence[Example], label_words: Sequence[str], k: int, seed: int
) -> list[Example]:
    """Demonstrations drawn by `draw`, without test examples (compared by text).

    The first draw is from the whole train split. If it contains no test text it is kept, so that the demonstrations of
    AG News are those of the original system. Otherwise a second draw is made without all test texts.

    Raises:
        InputError: A class has too few examples, or `draw` fails.
    """
    if k == 0:
        return []
    texts = {example.text for example in test}
    drawn = draw(train, label_words, k, seed)
    if not any(example.text in texts for example in drawn):
        return drawn
    others = [example for example in train if example.text not in texts]
    left = Counter(example.label_word for example in others)
    for word in label_words:
        if left[word] < k:
            raise InputError(
                f"--k {k}: class {word} has {left[word]} examples to draw demonstrations from, without the test "
                f"examples ({len(train) - len(others)} of {len(train)}); use --demonstrations, or --k 0"
            )
    return draw(others, label_words, k, seed)


def reordered(drawn: Sequence[Example], seed: int, order: int) -> list[Example]:
    """The same demonstrations in another order (Lu et al. 2022).

    Args:
        seed: Random seed of the permutations, which are distinct and differ from the drawn order.
        order: Index of the permutation, from 1; if there are fewer, the last one is used.
    """
    generator = np.random.default_rng([seed, len(drawn)])
    own = tuple(range(len(drawn)))
    orders = {own: None}
    while len(orders) <= min(order, math.factorial(len(drawn)) - 1):
        orders[tuple(generator.permutation(len(drawn)).tolist())] = None
    return [drawn[place] for place in list(orders)[-1]]


def check_counts(drawn: Sequence[Example], label_words: Sequence[str], k: int, what: str) -> None:
    """Raises InputError unless there are k of each class; `what` was drawn, for the message."""
    counts = Counter(example.label_word for example in drawn)
    word = min(label_words, key=lambda word: counts[word])
    if counts[word] != k:
        raise InputError(f"--k {k}: {what} has {counts[word]} of class {word}; the classes are too imbalanced")


def cut_words(example: Example, max_words: int) -> Example:
    """The example with at most `max_words` words of its text."""
    words = example.text.split()
    return example if len(words) <= max_words else replace(example, text=" ".join(words[:max_words]))
