"""Methods and their draws: grouping of results, and measurements over draws."""

import itertools
import json
import random

import numpy as np
import pytest
from sklearn.metrics import f1_score

from evaluate import metrics
from evaluate.intervals import estimate, grouped, mean_interval, proportion_interval
from evaluate.methods import methods_of
from evaluate.predictions import write_predictions
from evaluate.reading import read_results

WORDS = ["World", "Sports", "Business"]


@pytest.fixture
def write_draw(tmp_path):
    """A function that writes the predictions of a draw of demonstrations: (seed, name=its number, k=1, count=60,
    pages=0, order=0, settings, method, **meta). The same prompts have the same hash."""

    def write(seed, name=None, k=1, count=60, pages=0, order=0, settings=None, method="direct", **meta):
        draw = random.Random(f"{seed if k else 0} {order} {method}")
        rows = [{"id": str(n), "label_words": WORDS, "ground_truth": WORDS[n % 3]} for n in range(count)]
        for n, row in enumerate(rows):
            row |= {"group": f"p{n % pages}"} if pages else {}
            row["prediction"] = draw.choice([row["ground_truth"], draw.choice(WORDS), None])
            row["correct"] = row["prediction"] == row["ground_truth"]
        rows.sort(key=lambda row: draw.random())  # each file has its own order
        prompt = {"dataset": "news", "k": k, "seed": seed} | ({"order": order} if order else {})
        known = {
            "method": method,
            "checkpoint": "tiny",
            "fingerprint": "f",
            "settings": settings or {},
            "prompt_sha256": None if k is None else f"{k} {seed if k else ''} {order}",
            "prompt": prompt,
            "num_examples": count,
        }
        path = tmp_path / f"outputs_{name or f'{method}_{k}_{seed}_{order}'}.json"
        write_predictions(path, rows, known | meta)
        return path

    return write


@pytest.fixture
def methods(tmp_path):
    return lambda: methods_of(read_results([str(tmp_path)]))


def test_draws_are_one_method(write_draw, methods):
    for seed in (1, 2, 10):
        write_draw(seed)
        write_draw(seed, k=4)
    write_draw(1, method="channel")
    write_draw(1, "no_eos", settings={"score_eos": False})
    write_draw(1, "other_weights", fingerprint="g")
    write_draw(1, "fewer", count=20)
    found = {(method.name, method.k, method.first.path.stem): method.seeds for method in methods()}
    assert list(found.values()).count([1, 2, 10]) == 2
    assert len(found) == 6


def test_without_demonstrations_there_is_nothing_to_draw(write_draw, methods):
    """Five seeds, the same prompts: one result."""
    for seed in range(5):
        write_draw(seed, k=0)
    (method,) = methods()
    assert (len(method.draws), method.is_drawn) == (1, False)


def test_a_result_scored_twice_is_one(write_draw, methods):
    write_draw(1)
    write_draw(1, "again")
    write_draw(2)
    (method,) = methods()
    assert method.seeds == [1, 2]


def test_seeds_of_sampling_are_draws_but_not_those_of_greedy_decoding(write_draw, methods):
    for seed in (1, 2):
        write_draw(3, f"greedy{seed}", method="generate", settings={"temperature": 0, "seed": seed})
        write_draw(3, f"sampled{seed}", method="generate", settings={"temperature": 0.8, "seed": seed})
    assert sorted(len(method.draws) for method in methods()) == [1, 2]


def test_training_seeds_are_draws(write_draw, methods):
    """Each seed has its own weights."""
    for seed in (1, 2):
        write_draw(seed, k=None, method="llama_lora", fingerprint=str(seed))
    (method,) = methods()
    assert (method.seeds, method.is_drawn) == ([1, 2], True)


def test_files_without_meta_are_separate_methods(write_draw, methods):
    for name in "ab":
        write_draw(1, name).with_suffix(".meta.json").unlink()
    assert len(methods()) == 2


def test_what_is_measured_over_draws(write_draw, methods):
    """Against the definitions, on files with examples in different orders."""
    paths = [write_draw(seed, pages=12) for seed in (1, 2, 3)]
    (method,) = methods()
    rows = [{row["id"]: row for row in json.loads(path.read_text())} for path in paths]
    ids = method.ids
    right = np.array([[of_draw[key]["correct"] for key in ids] for of_draw in rows])
    assert method.correct.tolist() == right.tolist()
    assert method.accuracy == pytest.approx(right.mean())
    pairs = itertools.combinations(rows, 2)
    shares = [np.mean([one[key]["prediction"] != other[key]["prediction"] for key in ids]) for one, other in pairs]
    assert method.disagreement == pytest.approx(np.mean(shares))
    pages = grouped([rows[0][key]["group"] for key in ids], len(ids))
    assert method.accuracy_interval == mean_interval(right, pages)
    f1 = [draw.of_confusion(metrics.macro_f1) for draw in method.draws]
    assert method.macro_f1s.tolist() == pytest.approx(f1)
    low, high = method.macro_f1_interval
    assert low < np.mean(f1) < high
    moved = np.stack([draw.macro_f1_values[[draw.ids.index(key) for key in ids]] for draw in method.draws])
    assert (low, high) == proportion_interval(estimate(pages.sums(moved), pages.sizes), 12)


def test_interval_of_macro_f1_against_the_bootstrap(write_draw, methods):
    """For one draw of many examples, where both are valid."""
    write_draw(1, count=1500)
    (method,) = methods()
    truths, predicted = method.first.places
    random = np.random.default_rng(0)
    values = []
    for _ in range(1000):
        drawn = random.integers(0, len(truths), len(truths))
        confusion = np.zeros((3, 4))
        np.add.at(confusion, (truths[drawn], predicted[drawn]), 1)
        values.append(metrics.macro_f1(confusion))
    assert method.macro_f1_interval == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.005)


def test_orders_of_one_draw_are_not_draws(write_draw, methods):
    for seed in (1, 2):
        write_draw(seed)
    for order in (1, 2, 3):
        write_draw(1, order=order)
    (method,) = methods()
    assert method.seeds == [1, 2]
    expected = [method.draws[0].accuracy, *(result.accuracy for result in method.orders)]
    assert (len(method.orders), method.order_accuracies) == (3, expected)
    assert method.order_deviation == pytest.approx(np.std(expected, ddof=1))


def test_orders_of_several_draws_are_not_mixed(write_draw, methods):
    """Their deviation is that within a draw, pooled: draws that differ do not add to it."""
    for seed, orders in ((1, (0, 1, 2)), (2, (0, 1)), (3, (0,))):
        for order in orders:
            write_draw(seed, order=order)
    (method,) = methods()
    one, two = ([r.accuracy for r in (*method.draws, *method.orders) if r.seed == seed] for seed in (1, 2))
    assert method.accuracies_by_seed == [one, two]
    assert method.order_accuracies == [*one, *two]
    assert method.order_deviation == pytest.approx(((2 * np.var(one, ddof=1) + np.var(two, ddof=1)) / 3) ** 0.5)


def test_a_thousand_classes_and_many_examples_are_quick(write_draw):
    """Without a matrix of resamples, 1,000 classes and 120,000 examples of 4 methods with 5 draws take seconds."""
    import time

    random = np.random.default_rng(0)
    began = time.perf_counter()
    confusion = random.integers(0, 3, (1000, 1001))
    truths, predicted = random.integers(0, 1000, 120_000), random.integers(0, 1001, 120_000)
    moved = np.stack([metrics.macro_f1_influence(confusion, truths, predicted)] * 5)
    assert mean_interval(0.5 + moved / 1e6, grouped(None, 120_000)) is not None
    right = random.random((5, 120_000)) < 0.8
    for _ in range(4 + 6):
        assert mean_interval(right, grouped(None, 120_000)) is not None
    assert time.perf_counter() - began < 5


def test_class_f1_is_the_mean_over_draws(write_draw, methods):
    """For one draw, the interval is as wide as the bootstrap's (Efron 1979)."""
    for seed in (1, 2, 3):
        write_draw(seed, count=300)
    write_draw(1, k=0, count=300)
    alone, (method,) = methods()[0], methods()[1:]
    for word in WORDS:
        each = [
            f1_score(draw.truths, [p or "" for p in draw.predicted], labels=[word], average="macro")
            for draw in method.draws
        ]
        assert method.class_f1(word).value == pytest.approx(np.mean(each))
    assert method.class_f1("absent") is None
    truths, predicted = np.array(alone.first.truths), np.array([p or "" for p in alone.first.predicted])
    picked = np.random.default_rng(0).integers(0, 300, (2000, 300))
    hits = ((truths == "World") & (predicted == "World"))[picked].sum(1)
    values = 2 * hits / ((truths == "World")[picked].sum(1) + (predicted == "World")[picked].sum(1))
    low, high = alone.class_f1("World").interval
    assert high - low == pytest.approx(2 * 1.96 * values.std(), rel=0.1)
