"""Greedy and sampled continuations against full recomputation and against the definition of nucleus sampling."""

import itertools

import pytest
import torch

from llama import generation
from llama.batches import Limits
from llama.errors import CheckpointError
from llama.generation import Generation, Sampling, choose, draw
from llama.shared import all_batches

EOS = 2
CONTEXTS = [(1, *range(5, 5 + length)) for length in (1, 12, 3, 3, 7)] + [(1, 300, 20), (1, 300, 20)]
SEEDS = [11, 12, 13, 14, 15, 16, 16]
GREEDY, SAMPLED = {"temperature": 0.0, "top_p": 1.0}, {"temperature": 0.9, "top_p": 0.8}


def continued(small, contexts=CONTEXTS, seeds=SEEDS, eos_id=EOS, max_gen_len=12, max_batch_size=16, **how):
    """The new ids of each context, in order."""
    limits = Limits(1024, max_batch_size)
    new = dict(all_batches(Generation(small.model, contexts, seeds, {eos_id}, Sampling(max_gen_len, **how), limits)))
    return [new[index] for index in range(len(contexts))]


def recomputed(small, full_log_probs, context, seed, max_gen_len, temperature, top_p, eos_id=EOS) -> list[int]:
    """The definition: the whole sequence again for every token, no cache, no batch."""
    generator, new = torch.Generator().manual_seed(seed), []
    while len(new) < max_gen_len:
        log_probs = full_log_probs(small.model, [*context, *new])[-1].float()
        if temperature:
            uniform = torch.rand((), generator=generator, dtype=torch.float64)
            token = drawn(torch.softmax(log_probs.cpu() / temperature, -1), float(uniform), top_p)
        else:
            token = int(log_probs.argmax())
        if token == eos_id:
            break
        new.append(token)
    return new


@pytest.mark.parametrize("how", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("max_batch_size", [1, 3, 16])
def test_equals_full_recomputation_in_any_batch(how, max_batch_size, small, full_log_probs, device) -> None:
    assert small.model.norm.weight.device.type == device
    new = continued(small, max_batch_size=max_batch_size, **how)
    for row, context, seed in zip(new, CONTEXTS, SEEDS, strict=True):
        assert row == recomputed(small, full_log_probs, context, seed, 12, **how)
    assert new[-1] == new[-2]  # the same context and seed


def test_draws_depend_only_on_their_seed(small) -> None:
    first = continued(small, **SAMPLED)
    assert continued(small, seeds=[*SEEDS[:-1], 99], **SAMPLED)[:-1] == first[:-1]
    assert continued(small, seeds=[*SEEDS[:-1], 99], **SAMPLED)[-1] != first[-1]
    backwards = continued(small, contexts=CONTEXTS[::-1], seeds=SEEDS[::-1], max_batch_size=2, **SAMPLED)
    assert backwards[::-1] == first


@pytest.mark.parametrize("how", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_each_row_stops_at_its_own_end_of_sequence(how, small) -> None:
    """Any id can act as EOS: rows that reach it end there, without it; the others continue as before."""
    free = continued(small, eos_id=-1, **how)
    eos_id = free[1][4]
    stopped = continued(small, eos_id=eos_id, **how)
    assert stopped == [row[: row.index(eos_id)] if eos_id in row else row for row in free]
    assert len({len(row) for row in stopped}) > 1


@pytest.mark.parametrize("how", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_each_row_stops_once_it_is_complete(how, small) -> None:
    """With the token that completes it; it is not computed further, and the other rows continue as before."""
    free = continued(small, eos_id=-1, **how)
    fed: list[int] = []

    def is_complete(new: list[int]) -> bool:
        fed.append(len(new))
        return sum(new) % 3 == 0

    limits = Limits(1024, 16)
    sampling = Sampling(12, **how)
    work = Generation(small.model, CONTEXTS, SEEDS, (), sampling, limits, is_complete)
    new = dict(all_batches(work))
    ends = [next((end for end in range(1, 13) if sum(row[:end]) % 3 == 0), 12) for row in free]
    assert [new[index] for index in range(len(CONTEXTS))] == [row[:end] for row, end in zip(free, ends, strict=True)]
    assert len(set(ends)) > 2
    assert len(fed) == sum(ends)


def test_a_text_ends_before_its_stop_string(small) -> None:
    """The definition: the free text, cut; a stop string counts for any division into tokens."""
    prompts = ["Category: World", "rain", "Article: stopped play"]
    free = small.generate(prompts, 20, temperature=0)
    stops = [free[0][4:6], free[2][9:12]]
    cut = [min([text.find(stop) for stop in stops if stop in text], default=None) for text in free]
    expected = [text[:place] for text, place in zip(free, cut, strict=True)]
    assert small.generate(prompts, 20, temperature=0, stop=stops) == expected != free


@pytest.mark.parametrize("temperature", [1e-40, 5e-324])
def test_a_temperature_that_is_hardly_one_is_greedy(temperature, small) -> None:
    assert continued(small, temperature=temperature, top_p=1.0) == continued(small, **GREEDY)


def test_one_process_communicates_with_none(small, monkeypatch) -> None:
    """On CUDA, a broadcast would first set up nccl."""
    monkeypatch.setattr("torch.distributed.broadcast", lambda *_, **__: pytest.fail("it communicated"))
    assert len(continued(small, max_gen_len=2, **SAMPLED)) == len(CONTEXTS)


@pytest.mark.parametrize("how", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("max_gen_len", [0, 1, 5])
def test_max_gen_len(max_gen_len, how, small) -> None:
    longer = continued(small, eos_id=-1, max_gen_len=40, **how)
    new = continued(small, eos_id=-1, max_gen_len=max_gen_len, **how)
    assert new == [row[:max_gen_len] for row in longer]


def test_no_contexts(small) -> None:
    assert continued(small, contexts=[], seeds=[], **GREEDY) == []


def nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Holtzman et al. 2020, section 3.1: the smallest set whose probability reaches top_p, scaled to sum 1."""
    kept, mass = torch.zeros_like(probabilities), 0.0
    for token in sorted(range(len(probabilities)), key=lambda token: (-float(probabilities[token]), token)):
        kept[token] = probabilities[token]
        mass += float(probabilities[token])
        if mass >= top_p:
            break
    return kept / kept.sum()


def drawn(probabilities: torch.Tensor, uniform: float, top_p: float) -> int:
    """The definition of inversion: the first id up to which the nucleus has more than this share."""
    masses = itertools.accumulate(nucleus(probabilities.double(), top_p).tolist())
    return next(token for token, mass in enumerate(masses) if mass > uniform)


@pytest.mark.parametrize("candidates", [1, 3, 30, 512])
@pytest.mark.parametrize("top_p", [0.0, 0.4, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_draws_equal_the_definition(spread, top_p, candidates, monkeypatch) -> None:
    """Flat and peaked distributions, with equal probabilities; nuclei of fewer and of more ids than the candidates."""
    monkeypatch.setattr(generation, "CANDIDATES", candidates)
    random = torch.Generator().manual_seed(7)
    logits = (torch.randn(20, 60, generator=random) * spread * 2).round() / 2
    uniforms = torch.rand(20, generator=random, dtype=torch.float64)
    probabilities = logits.softmax(-1)
    expected = [drawn(row, float(u), top_p) for row, u in zip(probabilities, uniforms, strict=True)]
    assert draw(probabilities, uniforms, top_p).tolist() == expected


def test_the_largest_random_number_draws_an_id_with_probability() -> None:
    probabilities = torch.tensor([[0.0, 0.25, 0.7, 0.05, 0.0]])
    uniforms = torch.tensor([1 - 2.0**-53], dtype=torch.float64)
    assert [int(draw(probabilities, uniforms, top_p)) for top_p in (0.5, 0.9, 1.0)] == [2, 2, 3]
    assert int(draw(probabilities, torch.zeros(1, dtype=torch.float64), 1.0)) == 1


@pytest.mark.parametrize("top_p", [0.0, 0.3, 0.6, 0.75, 0.76, 0.95, 1.0])
def test_frequencies_of_draws(top_p) -> None:
    probabilities = torch.tensor([0.05, 0.25, 0.1, 0.5, 0.07, 0.03])
    draws = 4000
    uniforms = torch.rand(draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    counts = torch.bincount(draw(probabilities.expand(draws, -1), uniforms, top_p), minlength=6)
    expected = nucleus(probabilities, top_p)
    assert (counts > 0).tolist() == (expected > 0).tolist()
    deviation = (expected * (1 - expected) / draws).sqrt()
    assert ((counts / draws - expected).abs() <= 4 * deviation + 1e-6).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_divides_the_logits(temperature, one_process) -> None:
    logits, draws = torch.tensor([0.3, -1.0, 1.2, 0.0]), 4000
    uniforms = torch.rand(draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chosen = choose(logits.expand(draws, -1), uniforms, Sampling(1, temperature, top_p=1.0))
    weights = (logits / temperature).exp()
    expected = weights / weights.sum()
    deviation = (expected * (1 - expected) / draws).sqrt()
    assert ((torch.bincount(chosen, minlength=4) / draws - expected).abs() <= 4 * deviation).all()


def test_top_p_0_and_a_low_temperature_are_greedy(small) -> None:
    greedy = continued(small, **GREEDY)
    assert continued(small, temperature=5.0, top_p=0.0) == greedy
    assert continued(small, temperature=1e-4, top_p=1.0) == greedy
    assert continued(small, temperature=5.0, top_p=1.0) != greedy


def test_equal_probabilities_go_to_the_first(one_process) -> None:
    logits = torch.tensor([[0.0, 1.0, 1.0, 1.0]])
    for temperature in (0.0, 1.0):
        assert choose(logits, torch.rand(1).double(), Sampling(1, temperature, top_p=0.0)).tolist() == [1]


@pytest.mark.parametrize("damage", [float("nan"), float("inf")])
def test_damaged_logits_are_refused(damage, one_process) -> None:
    with pytest.raises(CheckpointError, match="a score is NaN or infinite"):
        choose(torch.tensor([[0.0, damage]]), torch.rand(1), Sampling(1, temperature=0, top_p=1.0))


@pytest.mark.parametrize(
    ("temperature", "top_p", "named"),
    [(-1.0, 0.9, "temperature -1.0"), (0.5, 1.5, "top_p 1.5"), (0.5, -0.1, "top_p -0.1")],
)
def test_sampling_options_out_of_range(temperature, top_p, named, small) -> None:
    with pytest.raises(ValueError, match=f"{named}: expected"):
        small.generate(["a"], 1, temperature, top_p)
