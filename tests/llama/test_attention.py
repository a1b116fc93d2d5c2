"""Attention and the other layers against their definitions in float64; equivalent ways of the model to compute."""

import copy
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from llama import Transformer
from llama.attention import Packing, attend, attend_shared, kernel, make_bias
from llama.batches import Row
from llama.cache import KeyValueCache
from llama.formats.meta import Params
from llama.layout import PackedRows
from llama.model import FeedForward, RMSNorm
from llama.prefix_tree import build_tree

HEADS = {"multi-head": (4, 4), "grouped-query": (4, 2), "multi-query": (4, 1)}
ROWS, LENGTH, SHARED, WIDTH = 3, 7, 11, 8
TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 2e-3}
ON_CUDA = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 5e-3}  # its kernels multiply on tensor cores


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def definition(q: Tensor, k: Tensor, v: Tensor, visible: Tensor, shared: tuple[Tensor, Tensor] | None) -> Tensor:
    """softmax(q k / sqrt(E)) v, in float64, over the shared keys and the visible keys of the row.

    Args:
        q, k, v: (B, T, H, E), (B, S, G, E) twice.
        visible: (B, T, S).
        shared: (1, P, G, E) twice.
    """
    q, k, v = q.double(), k.double(), v.double()
    if shared is not None:
        k, v = (
            torch.cat([part.double().expand(len(q), -1, -1, -1), own], 1)
            for part, own in zip(shared, (k, v), strict=True)
        )
        visible = torch.cat([visible.new_ones(*visible.shape[:2], shared[0].shape[1]), visible], 2)
    out = torch.empty_like(q)
    group = q.shape[2] // k.shape[2]
    for row in range(len(q)):
        for head in range(q.shape[2]):
            scores = q[row, :, head] @ k[row, :, head // group].T / q.shape[3] ** 0.5
            weights = torch.softmax(scores.masked_fill(~visible[row], -torch.inf), -1)
            out[row, :, head] = weights @ v[row, :, head // group]
    return out


def causal(rows: int, length: int) -> Tensor:
    return torch.ones(rows, length, length, dtype=torch.bool).tril()


def branches(rows: int, length: int) -> Tensor:
    """Random trees: each token follows one of the previous ones."""
    source, visible = random.Random(0), torch.zeros(rows, length, length, dtype=torch.bool)
    for row in visible:
        for token in range(length):
            if token:
                row[token] = row[source.randrange(token)]
            row[token, token] = True
    return visible


def inputs(heads: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """q, k, v and the shared keys and values."""
    count, kv_heads = HEADS[heads]
    q = random_tensor(ROWS, LENGTH, count, WIDTH, seed=1)
    k, v = (random_tensor(ROWS, LENGTH, kv_heads, WIDTH, seed=seed) for seed in (2, 3))
    shared = tuple(random_tensor(1, SHARED, kv_heads, WIDTH, seed=seed).to(dtype) for seed in (4, 5))
    return q.to(dtype), k.to(dtype), v.to(dtype), shared


def tolerance(dtype: torch.dtype, device: str) -> dict[str, float]:
    """The absolute and the relative tolerance of an output."""
    return dict.fromkeys(("atol", "rtol"), (TOLERANCES if device == "cpu" else ON_CUDA)[dtype])


def assert_near(found: Tensor, expected: Tensor, dtype: torch.dtype, device: str) -> None:
    assert (found.dtype, found.device.type) == (dtype, device)
    torch.testing.assert_close(found.cpu().double(), expected, **tolerance(dtype, device))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("mask", ["causal", "causal, as a mask", "tree"])
@pytest.mark.parametrize("with_shared", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize("heads", HEADS)
def test_attention(heads, with_shared, mask, dtype, device) -> None:
    *own, shared = inputs(heads, dtype)
    visible = (branches if mask == "tree" else causal)(ROWS, LENGTH)
    expected = definition(*own, visible, shared if with_shared else None)
    bias = None if mask == "causal" else make_bias(visible.to(device), dtype)
    prefix = tuple(part.to(device) for part in shared) if with_shared else None
    assert_near(attend(*(part.to(device) for part in own), bias, prefix), expected, dtype, device)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("width", [64, 128, 100, 6])
@pytest.mark.parametrize("with_shared", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 40])
def test_lengths_around_the_alignment(length, with_shared, width, dtype, device) -> None:
    """Heads as wide as those of real models, and of widths that the CUDA kernels do not take; only the last queries of
    each row are selected, down to one, as in decoding."""
    q = random_tensor(2, length, 4, width, seed=1).to(dtype)
    k, v = (random_tensor(2, length, 2, width, seed=seed).to(dtype) for seed in (2, 3))
    shared = tuple(random_tensor(1, 2 * length + 1, 2, width, seed=seed).to(dtype) for seed in (4, 5))
    visible, asked = branches(2, length), slice(length // 2, None)
    expected = definition(q, k, v, visible, shared if with_shared else None)[:, asked]
    bias = make_bias(visible[:, asked].to(device), dtype)
    prefix = tuple(part.to(device) for part in shared) if with_shared else None
    found = attend(q[:, asked].to(device), k.to(device), v.to(device), bias, prefix)
    assert_near(found, expected, dtype, device)


def packing(lengths: Sequence[int], device: str) -> Packing:
    """Rows of these lengths, concatenated."""
    longest, begins = max(lengths), np.cumsum([0, *lengths[:-1]])
    slots = [
        [begin + min(slot, length - 1) for slot in range(longest)]
        for begin, length in zip(begins, lengths, strict=True)
    ]
    tokens = [row * longest + slot for row, length in enumerate(lengths) for slot in range(length)]
    return Packing(torch.tensor(slots, device=device), torch.tensor(tokens, device=device))


def packed(x: Tensor, lengths: Sequence[int]) -> Tensor:
    """The tokens of each row without padding, concatenated: (1, N, ...)."""
    return torch.cat([row[:length] for row, length in zip(x, lengths, strict=True)])[None]


@pytest.mark.parametrize("mask", ["causal", "tree"])
@pytest.mark.parametrize("with_shared", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize("heads", HEADS)
def test_packed_rows(heads, with_shared, mask, device) -> None:
    """All queries are packed; then only some of each row's queries."""
    q, k, v, shared = inputs(heads)
    lengths, asked = (3, LENGTH, 1), [(2,), (0, 3, 6), (0,)]
    visible = (branches if mask == "tree" else causal)(ROWS, LENGTH)
    expected = definition(q, k, v, visible, shared if with_shared else None)
    q, k, v, *shared = (part.to(device) for part in (q, k, v, *shared))
    shared = tuple(shared) if with_shared else None

    bias = None if mask == "causal" else make_bias(visible.to(device), torch.float32)
    found = attend(packed(q, lengths), k, v, bias, shared, packing(lengths, device))
    assert_near(found, packed(expected, lengths), torch.float32, device)

    counts = list(map(len, asked))
    picked = [x[list(row)] for x, row in zip(q, asked, strict=True)]
    seen = torch.zeros(ROWS, max(counts), LENGTH, dtype=torch.bool)
    seen[..., 0] = True  # where no query is
    for row, slots in enumerate(asked):
        seen[row, : len(slots)] = visible[row, list(slots)]
    bias = make_bias(seen.to(device), torch.float32)
    found = attend(torch.cat(picked)[None], k, v, bias, shared, packing(counts, device))
    wanted = torch.cat([row[list(slots)] for row, slots in zip(expected, asked, strict=True)])[None]
    assert_near(found, wanted, torch.float32, device)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("heads", HEADS)
def test_normaliser_of_shared_keys(heads, dtype, device) -> None:
    """The logarithm of the softmax's denominator, in float32 for all inputs."""
    q, _, _, (k, v) = inputs(heads, dtype)
    _, normaliser = attend_shared(q.to(device), k.to(device), v.to(device))
    group = q.shape[2] // k.shape[2]
    scores = torch.einsum("bthe,she->bths", q.double(), k[0].double().repeat_interleave(group, 1)) / WIDTH**0.5
    assert normaliser.dtype == torch.float32
    allowed = 1e-5 if device == "cpu" else 1e-4
    torch.testing.assert_close(normaliser.cpu().double(), scores.logsumexp(-1), atol=allowed, rtol=allowed)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("factor", [1.0, -1.0], ids=["the shared keys win", "the own keys win"])
@pytest.mark.parametrize("size", [10.0, 60.0])
def test_normalisers_hundreds_apart(size, factor, dtype, device) -> None:
    """Their exponentials are infinite or 0; the larger one has all the weight."""
    q, k, v, (shared_k, shared_v) = inputs("grouped-query", dtype)
    q = torch.full_like(q, size)
    k, shared_k = torch.full_like(k, -factor * 5), torch.full_like(shared_k, factor * 5)
    on_device = [part.to(device) for part in (q, k, v, shared_k, shared_v)]
    found = attend(*on_device[:3], None, tuple(on_device[3:]))
    expected = definition(q, k, v, causal(ROWS, LENGTH), (shared_k, shared_v))
    assert abs(float(q[0, 0, 0].double() @ (shared_k[0, 0, 0] - k[0, 0, 0]).double())) / WIDTH**0.5 > 200
    assert_near(found, expected, dtype, device)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("keys", [1, 15, 16, 17, 40])
def test_bias(keys, dtype) -> None:
    """0 if visible, else -inf; rows start at multiples of 16 numbers, as the CUDA kernel requires."""
    visible = torch.rand(ROWS, 5, keys, generator=torch.Generator().manual_seed(keys)) < 0.5
    bias = make_bias(visible, dtype)
    assert (bias.shape, bias.dtype) == ((ROWS, 1, 5, keys), dtype)
    assert torch.equal(bias[:, 0] == 0, visible)
    assert torch.equal(bias[:, 0] == -torch.inf, ~visible)
    assert all(stride % 16 == 0 for stride in bias.stride()[:-1])
    assert (bias.stride(-1), bias.storage_offset()) == (1, 0)


class Slices(TorchFunctionMode):
    """x[:, :n] by PyTorch's operators, because Python's indexing needs the device, which a CPU build does not know."""

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function is not torch.Tensor.__getitem__:
            return function(*args, **(kwargs or {}))
        x, index = args
        if index == (..., None):
            return x.unsqueeze(-1)
        for dim, part in enumerate(index):
            x = torch.ops.aten.slice(x, dim, part.start, part.stop)
        return x


class Calls(TorchDispatchMode):
    """Records the arguments of the CUDA kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.arguments: list[tuple] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function is torch.ops.aten._scaled_dot_product_efficient_attention.default:
            self.arguments.append(args)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("tree", [False, True], ids=["causal", "tree"])
@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("width", [8, 6])
def test_shapes_on_cuda(width, heads, tree, dtype) -> None:
    """PyTorch's meta function of the CUDA kernel, without a GPU: shapes and dtypes, no numbers. It gets heads of 8
    numbers, also for heads of 6."""
    count, kv_heads = HEADS[heads]
    stored = make_bias(branches(ROWS, LENGTH), dtype)
    with FakeTensorMode(), Slices(), Calls() as calls:

        def fake(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
            return torch.empty(shape, dtype=dtype, device="cuda")

        q, k, v = fake(ROWS, LENGTH, count, width), *(fake(ROWS, LENGTH, kv_heads, width) for _ in range(2))
        shared = fake(1, SHARED, kv_heads, width), fake(1, SHARED, kv_heads, width)
        bias = torch.empty_strided(stored.shape, stored.stride(), dtype=dtype, device="cuda") if tree else None
        found = attend(q, k, v, bias, shared)
        assert (found.shape, found.dtype, found.device.type) == (q.shape, dtype, "cuda")
        out, normaliser = kernel(*(q.transpose(1, 2),) * 3, bias, is_causal=not tree)
        assert (out.shape, out.dtype) == ((ROWS, count, LENGTH, width), dtype)
        assert (normaliser.shape, normaliser.dtype) == ((ROWS, count, LENGTH), torch.float32)
    own, of_shared, _ = calls.arguments
    assert [x.shape for x in own[:3]] == [(ROWS, count, LENGTH, 8)] * 3
    assert of_shared[0].shape == (1, kv_heads, ROWS * LENGTH * count // kv_heads, 8)
    assert of_shared[1].shape == of_shared[2].shape == (1, kv_heads, SHARED, 8)  # once, not for each row
    assert of_shared[3] is None
    if tree:
        assert own[3].shape == (ROWS, count, LENGTH, LENGTH)
        assert all(stride % 16 == 0 for stride in own[3].stride()[:-1])


@pytest.fixture(scope="module", params=[True, False], ids=["grouped-query", "multi-head"])
def model(request, one_process) -> Transformer:
    """A random model in float32."""
    args = Params(dim=32, n_layers=3, n_heads=4, multiple_of=8).model_args(vocab_size=64, max_seq_len=64)
    made = Transformer(replace(args, n_kv_heads=2) if request.param else args)
    generator = torch.Generator().manual_seed(0)
    for weight in made.parameters():
        weight.data = torch.randn(weight.shape, generator=generator) * 0.3 + (weight.dim() == 1)
    return made.eval()


def prefix(model: Transformer, length: int) -> KeyValueCache | None:
    """Keys and values of a number of tokens."""
    if not length:
        return None
    cache = model.new_cache(1, length)
    model(random_ids(1, length), cache=cache)
    return cache


def random_ids(*shape: int) -> Tensor:
    return torch.randint(64, shape, generator=torch.Generator().manual_seed(7))


@torch.inference_mode()
@pytest.mark.parametrize("before", [0, 9])
@pytest.mark.parametrize("tree", [False, True], ids=["causal", "tree"])
def test_places_are_those_of_all_hidden_states(tree, before, model) -> None:
    tokens, visible = random_ids(ROWS, LENGTH), branches(ROWS, LENGTH) if tree else None
    positions = before + (visible.sum(-1) - 1 if tree else torch.arange(LENGTH)[None])
    shared = prefix(model, before)
    every = model(tokens, positions, visible, shared)
    assert every.shape == (ROWS, LENGTH, 32)
    for places in ([[0], [3], [6]], [[0, 1, 5], [0, 3, 6], [2, 2, 4]], [list(range(LENGTH))] * ROWS):
        asked = torch.tensor(places)
        found = model(tokens, positions, visible, shared, places=asked)
        torch.testing.assert_close(found, every[torch.arange(ROWS)[:, None], asked], atol=1e-5, rtol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("before", [0, 9])
def test_places_with_a_cache(before, model) -> None:
    """As in generation: the last place of each row; the cache is complete nevertheless."""
    tokens, shared = random_ids(ROWS, LENGTH), prefix(model, before)
    complete, cache = model.new_cache(ROWS, LENGTH), model.new_cache(ROWS, LENGTH)
    every = model(tokens, shared=shared, cache=complete)
    asked = torch.tensor([[2], [6], [0]])
    found = model(tokens, shared=shared, cache=cache, places=asked)
    torch.testing.assert_close(found, every[torch.arange(ROWS)[:, None], asked], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cache.keys + cache.values, complete.keys + complete.values, atol=1e-5, rtol=1e-5)
    assert cache.filled == complete.filled == LENGTH


@torch.inference_mode()
@pytest.mark.parametrize("before", [0, 9])
def test_packed_rows_with_a_cache(before, model) -> None:
    """As in generation: the cache of packed rows continues them as the cache of padded rows does."""
    lengths, shared = [5, 3, 1], prefix(model, before)
    tokens, ends = random_ids(3, 5), torch.tensor(lengths)
    rows = PackedRows(
        [Row(tuple(row[:length].tolist())) for row, length in zip(tokens, lengths, strict=True)], before, tokens.device
    )
    padded, cache = model.new_cache(3, 7), model.new_cache(3, 7)
    every = model(tokens, shared=shared, cache=padded)
    found = rows.forward(model, shared, rows.begins + rows.lengths - 1, cache)
    torch.testing.assert_close(found, every[torch.arange(3), ends - 1], atol=1e-5, rtol=1e-5)
    for step in range(2):
        new, places = random_ids(3, 1), before + ends[:, None] + step
        expected, found = (model(new, places, shared=shared, cache=each) for each in (padded, cache))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


TREES = {
    "trees": [[(9, 8, 7), (9, 8, 6, 5), (9, 4)], [(9, 1), (9, 2)], [(9, 3, 3, 3)]],
    "chains": [[(9, 8, 7, 6)], [(9, 8)], [(9,)]],
}


def packed_rows(name: str, before: int) -> PackedRows:
    """Sequences 0, 1, 2, ... of `TREES`, one list per row; each row has its own head."""
    rows = []
    for number, sequences in enumerate(TREES[name]):
        tree, first = build_tree(sequences).children[9], sum(map(len, TREES[name][:number]))
        for node in tree.walk():
            node.ends = [first + index for index in node.ends]
        rows.append(Row((20 + number,) * number, (), tree))
    return PackedRows(rows, before, torch.device("cpu"))


@torch.inference_mode()
@pytest.mark.parametrize("before", [0, 9])
@pytest.mark.parametrize("trees", TREES)
def test_packed_hidden_states_are_those_of_each_sequence_alone(trees, before, model) -> None:
    rows, shared = packed_rows(trees, before), prefix(model, before)
    assert (rows.visible() is None) == (trees == "chains")
    every = rows.forward(model, shared, np.arange(len(rows)))
    shared_ids = random_ids(1, before)[0].tolist() if before else []
    sequences = [(20 + number,) * number + sequence for number, row in enumerate(TREES[trees]) for sequence in row]
    for index, sequence in enumerate(sequences):
        alone = model(torch.tensor([[*shared_ids, *sequence]]))[0, before:]
        torch.testing.assert_close(every[rows.places[index]], alone, atol=2e-5, rtol=2e-5)


@torch.inference_mode()
@pytest.mark.parametrize("before", [0, 9])
@pytest.mark.parametrize("trees", TREES)
def test_packed_places_are_those_of_all_hidden_states(trees, before, model) -> None:
    """From one place to all; with few places, some rows have none."""
    rows, shared = packed_rows(trees, before), prefix(model, before)
    every = rows.forward(model, shared, np.arange(len(rows)))
    source = np.random.default_rng(0)
    for count in range(1, len(rows) + 1):
        places = np.sort(source.choice(len(rows), count, replace=False))
        found = rows.forward(model, shared, places)
        torch.testing.assert_close(found, every[places], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 300.0])
def test_rms_norm(size, dtype) -> None:
    """Zhang and Sennrich 2019, equation 4. The square of 300 is more than float16 can hold."""
    norm = RMSNorm(48, 1e-5).to(dtype)
    norm.weight.data = random_tensor(48, seed=1).to(dtype)
    x = (random_tensor(2, 5, 48) * size).to(dtype)
    expected = x.double() / (x.double().square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight.double()
    found = norm(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, atol=TOLERANCES[dtype], rtol=TOLERANCES[dtype])


def test_feed_forward(one_process) -> None:
    """Shazeer 2020, equation 6; the same numbers with reused memory and with gradients."""
    layer = FeedForward(16, 24)
    for seed, weight in enumerate(layer.parameters()):
        weight.data = random_tensor(*weight.shape, seed=seed) * 0.3
    x = random_tensor(2, 5, 16, seed=9)
    kept = x.clone()
    with torch.no_grad():
        reused = layer(x)
    assert torch.equal(x, kept)
    trained = layer(x.requires_grad_())
    assert torch.equal(trained, reused)

    trained.square().sum().backward()
    w1, w2, w3, inner = (
        tensor.detach().double().requires_grad_() for tensor in (layer.w1.weight, layer.w2.weight, layer.w3.weight, x)
    )
    expected = (F.silu(inner @ w1.T) * (inner @ w3.T)) @ w2.T
    expected.square().sum().backward()
    torch.testing.assert_close(trained.double(), expected, atol=1e-5, rtol=1e-5)
    for found, defined in zip((*layer.parameters(), x), (w1, w2, w3, inner), strict=True):
        torch.testing.assert_close(found.grad.double(), defined.grad, atol=1e-4, rtol=1e-4)


def test_the_model_can_be_trained(model) -> None:
    """As in pretraining, without cache and packing: all weights have gradients, and a step lowers the loss."""
    trained, tokens = copy.deepcopy(model), random_ids(ROWS, LENGTH)

    def loss() -> Tensor:
        return F.cross_entropy(trained.output(trained(tokens[:, :-1])).flatten(0, 1), tokens[:, 1:].flatten())

    first = loss()
    first.backward()
    for name, weight in trained.named_parameters():
        assert weight.grad.isfinite().all() and weight.grad.any(), name
        weight.data -= 1e-3 * weight.grad
    assert loss() < first
