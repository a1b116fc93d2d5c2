"""Corrections of label distributions: by hand, against definitions in probabilities, and with underflow."""

import math

import numpy as np
import pytest

from llama import corrections
from llama.corrections import divide, divide_by_batch, match_prior, normalise


@pytest.fixture
def log_probs():
    """Unnormalised log-probabilities (50, 3), skewed to the first class."""
    return np.random.default_rng(0).normal(0, 2, (50, 3)) + np.array([1.5, 0, -1]) - 40


def as_probabilities(log_probs):
    odds = np.exp(log_probs)
    return odds / odds.sum(-1, keepdims=True)


def test_divide_by_hand():
    """(.6, .4) divided by the mean of (.9, .1) and (.7, .3), which is (.8, .2): .75 to 2."""
    found = divide(np.log([[0.6, 0.4]]), np.log([[0.9, 0.1], [0.7, 0.3]]))
    assert np.exp(found).tolist() == [pytest.approx([0.75 / 2.75, 2 / 2.75])]


def test_batch_by_hand():
    """Mean of (.9, .1) and (.5, .5): (.7, .3); the geometric one: (.45, .05) under the root."""
    given = np.log([[0.9, 0.1], [0.5, 0.5]])
    odds = np.array([[0.9 / 0.7, 0.1 / 0.3], [0.5 / 0.7, 0.5 / 0.3]])
    assert np.exp(divide_by_batch(given)) == pytest.approx(odds / odds.sum(-1, keepdims=True))
    odds = np.array([[0.9, 0.1], [0.5, 0.5]]) / np.sqrt([0.45, 0.05])
    assert np.exp(divide_by_batch(given, "log")) == pytest.approx(odds / odds.sum(-1, keepdims=True))
    odds = np.array([[1, 1], [0.5 / 0.9, 0.5 / 0.1]])
    assert np.exp(divide_by_batch(given, examples=1)) == pytest.approx(odds / odds.sum(-1, keepdims=True))


def test_prior_by_hand():
    """Two examples, (.9, .1) and (.5, .5): with weights 1 to w the mean is uniform where .9 / (.9 + .1 w) + .5 / (.5 +
    .5 w) = 1, so w = 3."""
    odds = np.array([[0.9, 0.3], [0.5, 1.5]])
    found = match_prior(np.log([[0.9, 0.1], [0.5, 0.5]]), np.array([0.5, 0.5]))
    assert np.exp(found) == pytest.approx(odds / odds.sum(-1, keepdims=True))


@pytest.mark.parametrize("prior", [(1 / 3, 1 / 3, 1 / 3), (0.7, 0.2, 0.1), (0.001, 0.001, 0.998)])
def test_mean_is_the_prior(log_probs, prior):
    """By one weight per class, for any normalisation of the rows."""
    found = match_prior(log_probs, np.array(prior))
    assert np.exp(found).mean(0) == pytest.approx(prior)
    weights = found - log_probs
    assert weights - weights[:, :1] == pytest.approx(np.tile(weights[0] - weights[0, 0], (50, 1)))


def test_all_are_distributions_independent_of_normalisation(log_probs):
    shifted = log_probs + np.random.default_rng(1).normal(0, 100, (50, 1))
    for correct in (
        normalise,
        divide_by_batch,
        lambda rows: divide_by_batch(rows, "log", 7),
        lambda rows: divide(rows, rows[:5]),
        lambda rows: match_prior(rows, np.full(3, 1 / 3)),
    ):
        assert np.exp(correct(log_probs)).sum(-1) == pytest.approx(np.ones(50))
        assert correct(shifted) == pytest.approx(correct(log_probs))


def test_definitions_in_probabilities(log_probs):
    p = as_probabilities(log_probs)
    for found, odds in (
        (divide(log_probs, log_probs[:4]), p / p[:4].mean(0)),
        (divide_by_batch(log_probs), p / p.mean(0)),
        (divide_by_batch(log_probs, "log"), p / np.exp(np.log(p).mean(0))),
    ):
        assert np.exp(found) == pytest.approx(odds / odds.sum(-1, keepdims=True))


@pytest.mark.parametrize(("nats", "free"), [(0, 0), (-150, -5), (-2000, -2000), (-2000, 0), (0, -2000), (-1e6, -3)])
def test_improbable_completions(nats, free):
    """exp(-150) is 0 in float32, exp(-2000) in float64, and their inverses are infinite, but neither is needed."""
    given, bias = np.array([[nats - 1, nats - 2, nats - 900.0]]), np.array([[free - 2, free - 2, free]])
    expected = [-math.log1p(math.exp(-1)), -1 - math.log1p(math.exp(-1)), -901.3132616875182]
    assert divide(given, bias).tolist() == [pytest.approx(expected)]


def test_prior_of_examples_that_are_certain():
    """Two of three are certain of one class by hundreds of nats, but the weights still reach the mean."""
    given = np.array([[0.0, -500.0], [0.0, -800.0], [-3.0, 0.0]])
    assert np.exp(match_prior(given, np.array([0.25, 0.75]))).mean(0) == pytest.approx([0.25, 0.75])


def test_prior_that_is_not_reached(log_probs, monkeypatch):
    monkeypatch.setattr(corrections, "ITERATIONS", 2)
    with pytest.raises(ValueError, match=r"^after 2 iterations a class still differs .* by a factor of 2\.\d"):
        match_prior(log_probs, np.array([0.1, 0.1, 0.8]))
