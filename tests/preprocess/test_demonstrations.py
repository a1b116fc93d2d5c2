"""Demonstrations of a prompt: k of each class, determined by the seed, and never a test example."""

from collections import Counter

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from preprocess.demonstrations import cut_words, divide, draw_demonstrations, draw_per_class, draw_stratified, reordered
from preprocess.errors import InputError
from preprocess.prompts import Example

WORDS = ("World", "Sports", "Business", "Science and technology")


def examples(*counts: int) -> list[Example]:
    """A number of examples of each class, in turn."""
    labels = [label for place in range(max(counts)) for label, count in enumerate(counts) if place < count]
    return [Example(f"train-{number}", f"text {number}", WORDS[label]) for number, label in enumerate(labels)]


def stratified_by_datasets(train: list[Example], k: int, seed: int) -> list[str]:
    """The draw of the original system, with its own code."""
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(WORDS))})
    rows = [{"text": example.text, "label": WORDS.index(example.label_word)} for example in train]
    split = Dataset.from_list(rows, features=features).train_test_split(
        train_size=k * 4, seed=seed, stratify_by_column="label"
    )
    return split["train"]["text"][:]


@pytest.mark.parametrize("seed", [0, 42])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_stratified_draw_is_that_of_datasets(k: int, seed: int):
    train = examples(30, 29, 31, 30)
    drawn = draw_stratified(train, WORDS, k, seed)
    assert [example.text for example in drawn] == stratified_by_datasets(train, k, seed)
    assert Counter(example.label_word for example in drawn) == dict.fromkeys(WORDS, k)


@pytest.mark.parametrize(
    ("counts", "k", "message"),
    [
        ((60, 50, 50, 4), 1, "has 0 of class Science and technology; the classes are too imbalanced"),
        ((10, 10, 10, 1), 1, "--k 1: no stratified draw of 4 from 31 train examples"),
        ((3, 3, 3, 3), 3, "--k 3: no stratified draw of 12 from 12 train examples"),
        ((3, 3, 3, 3), 4, "--k 4: no stratified draw of 16 from 12 train examples"),
        ((10, 10, 10, 0), 1, "--k 1: the stratified draw has 0 of class Science and technology"),
    ],
)
def test_too_few_or_unbalanced_classes_are_refused(counts: tuple[int, ...], k: int, message: str):
    with pytest.raises(InputError) as error:
        draw_stratified(examples(*counts), WORDS, k, 42)
    assert message in str(error.value)


@pytest.mark.parametrize("k", [1, 2])
def test_the_draw_per_class_gives_k_of_each_with_any_imbalance(k: int):
    train = examples(50, 2, 9, 4)
    draws = {seed: draw_per_class(train, WORDS, k, seed) for seed in range(60)}
    for seed, drawn in draws.items():
        assert Counter(example.label_word for example in drawn) == dict.fromkeys(WORDS, k)
        assert len(set(drawn)) == len(drawn)
        assert draw_per_class(train, WORDS, k, seed) == drawn
    orders = {tuple(example.label_word for example in drawn) for drawn in draws.values()}
    shown = {example.text for drawn in draws.values() for example in drawn}
    assert len(orders) > 10, "the classes stand in random order"
    assert len(shown) > 40, "every member of a class can be drawn"


def test_the_draw_per_class_names_the_class_that_has_too_few():
    with pytest.raises(InputError, match="--k 3: class Sports has 2 examples to draw demonstrations from"):
        draw_per_class(examples(50, 2, 9, 4), WORDS, 3, 0)


@pytest.mark.parametrize("draw", [draw_stratified, draw_per_class])
def test_a_test_example_never_is_its_own_demonstration(draw):
    """By its text: the same text with another id is the same example. Without shared texts, the draw is unchanged."""
    train = examples(12, 12, 12, 12)
    first = draw(train, WORDS, 2, 42)
    assert draw_demonstrations(draw, train, examples(0, 0, 0, 1), WORDS, 2, 42) != []
    test = [Example(f"test-{place}", example.text, example.label_word) for place, example in enumerate(first[:5])]
    second = draw_demonstrations(draw, train, test, WORDS, 2, 42)
    assert not {example.text for example in test} & {example.text for example in second}
    assert Counter(example.label_word for example in second) == dict.fromkeys(WORDS, 2)
    assert draw_demonstrations(draw, train, [Example("test-0", "other", "World")], WORDS, 2, 42) == first


@pytest.mark.parametrize("draw", [draw_stratified, draw_per_class])
def test_a_train_split_equal_to_the_test_split_is_refused(draw):
    train = examples(4, 4, 4, 4)
    with pytest.raises(
        InputError, match=r"--k 1: class World has 0 examples .*, without the test examples \(16 of 16\)"
    ):
        draw_demonstrations(draw, train, train, WORDS, 1, 42)
    with pytest.raises(
        InputError, match=r"--k 1: class Sports has 0 examples .*, without the test examples \(15 of 16\)"
    ):
        draw_demonstrations(draw, train, train[1:], WORDS, 1, 42)


@pytest.mark.parametrize("draw", [draw_stratified, draw_per_class])
@pytest.mark.parametrize("left", [2, 400])
def test_test_examples_are_left_out_in_one_pass(draw, left: int):
    """For any number of them: at most two draws."""
    train, draws = examples(400, 400, 400, 400), []

    def counted(*arguments: object) -> list[Example]:
        draws.append(arguments)
        return draw(*arguments)

    test = train[4 * left :] if left < 400 else examples(0, 0, 0, 0, 0)[:0]
    drawn = draw_demonstrations(counted, train, test, WORDS, 1, 42)
    assert not {example.text for example in drawn} & {example.text for example in test}
    assert len(draws) == (2 if left < 400 else 1)


def test_a_division_is_stratified_and_keeps_the_order():
    train = examples(40, 20, 20, 20)
    test, rest = divide(train, WORDS, 0.1, 42)
    assert Counter(example.label_word for example in test) == dict(zip(WORDS, (4, 2, 2, 2), strict=True))
    assert sorted([*test, *rest], key=train.index) == train
    assert test == sorted(test, key=train.index)
    assert rest == sorted(rest, key=train.index)
    assert divide(train, WORDS, 10, 42) == (test, rest)
    assert divide(train, WORDS, 10, 43) != (test, rest)


def test_zero_shot_draws_nothing():
    def draw(*_: object) -> list[Example]:
        raise AssertionError("nothing to draw from")

    assert draw_demonstrations(draw, [], examples(1, 1, 1, 1), WORDS, 0, 42) == []


def test_words_beyond_the_limit_are_cut():
    example = Example("a", "one  two\tthree four", "World", "page")
    assert cut_words(example, 4) == example  # as it is, white space too
    assert cut_words(example, 3) == Example("a", "one two three", "World", "page")


def test_orders_are_other_orders():
    """All orders are distinct and differ from the draw's; more orders do not change earlier ones; a seed fixes them."""
    drawn = examples(2, 2, 2, 2)
    orders = [reordered(drawn, 1, number) for number in range(1, 6)]
    assert all(sorted(order, key=lambda one: one.id) == drawn for order in orders)
    assert len({tuple(one.id for one in order) for order in [drawn, *orders]}) == 6
    assert orders[0] == reordered(drawn, 1, 1) != reordered(drawn, 2, 1)


def test_two_demonstrations_have_one_other_order():
    drawn = examples(1, 1)
    assert reordered(drawn, 1, 1) == reordered(drawn, 1, 7) == drawn[::-1]
    assert reordered(drawn[:1], 1, 3) == drawn[:1]
