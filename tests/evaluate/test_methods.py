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
from tests.evaluate.tables import rewrite

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


def answer(rows, sample):
    """Change some predictions, others for each sample."""
    for row in rows[sample::5]:
        row["prediction"] = WORDS[(WORDS.index(row["ground_truth"]) + sample) % 3]
        row["correct"] = row["prediction"] == row["ground_truth"]


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


def test_seeds_of_sampling_are_results_of_one_draw(write_draw, methods):
    """Those of greedy decoding change nothing: one result."""
    for seed in (1, 2):
        write_draw(3, f"greedy{seed}", method="generate", settings={"temperature": 0, "seed": seed})
        write_draw(3, f"sampled{seed}", method="generate", settings={"temperature": 0.8, "seed": seed})
    assert sorted(len(method.draws) for method in methods()) == [1, 2]
    assert [method.seeds for method in methods()] == [[3], [3]]


def test_samples_of_a_draw_count_by_their_mean(write_draw, methods, tmp_path):
    """Accuracy, macro-F1, F1 of classes and their intervals are those of the means, not of independent draws."""
    for seed, samples in ((1, (1, 2, 3)), (2, (1,))):
        for sample in samples:
            path = write_draw(
                seed, f"s{seed}{sample}", method="generate", settings={"temperature": 1.0, "seed": sample}
            )
            rewrite(path, lambda rows, sample=sample: answer(rows, sample))
    (method,) = methods()
    results = {(one.seed, one.meta["settings"]["seed"]): one for one in method.draws}
    place = {key: number for number, key in enumerate(method.ids)}

    def aligned(result, values):
        return np.asarray(values)[np.argsort([place[key] for key in result.ids])]

    def averaged(value):
        first = np.mean([value(results[1, sample]) for sample in (1, 2, 3)], axis=0)
        return np.stack([first, value(results[2, 1])])

    right = averaged(lambda one: aligned(one, one.correct))
    assert method.seeds == [1, 2]
    assert method.correct == pytest.approx(right)
    assert method.accuracy == pytest.approx(right.mean())
    assert method.accuracy_interval == pytest.approx(mean_interval(right, grouped(None, 60)))
    f1 = averaged(lambda one: np.array(metrics.macro_f1(one.confusion)))
    assert method.macro_f1s == pytest.approx(f1)
    influences = averaged(lambda one: aligned(one, one.macro_f1_values))
    assert method.macro_f1_interval == pytest.approx(mean_interval(influences, grouped(None, 60)))
    of_class = averaged(lambda one: np.array(one.class_f1[one.classes.index("Sports")]))
    assert method.class_f1("Sports").value == pytest.approx(of_class.mean())


def test_orders_with_several_samples(write_draw, methods):
    """The deviation is that of the orders, each by the mean of its samples."""
    for order in (0, 1):
        for sample in (1, 2):
            settings = {"temperature": 1.0, "seed": sample}
            path = write_draw(1, f"o{order}{sample}", order=order, method="generate", settings=settings)
            rewrite(path, lambda rows, sample=sample: answer(rows, sample))
    (method,) = methods()
    every = [*method.draws, *method.orders]
    means = [np.mean([one.accuracy for one in every if one.order == order]) for order in (0, 1)]
    assert len(every) == 4
    assert method.order_accuracies == pytest.approx(means)
    assert method.order_deviation == pytest.approx(np.std(means, ddof=1))


def test_draws_without_a_seed_are_not_the_same(write_draw, methods):
    """Their prompts differ; which draws of other methods they belong to is unknown."""
    for number in range(3):
        write_draw(None, f"n{number}", prompt_sha256=str(number))
    (method,) = methods()
    assert (method.seeds, len(method.accuracies)) == ([None] * 3, 3)


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
