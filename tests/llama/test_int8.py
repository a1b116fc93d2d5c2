"""Layers in 8 bits against the paper's formulas as a slow loop; whole models in 8 bits against float32."""

import json
import re
import sys

import pytest
import torch
from fairscale.nn.model_parallel.layers import ColumnParallelLinear, RowParallelLinear

from llama import CheckpointError, Request, load
from llama.formats.weights import Part
from llama.int8 import THRESHOLD, Int8Linear, Quantizer, find_outliers, quantize_rows
from llama.shared import all_batches

TOKENS, WIDTH, OUT = 7, 48, 20
PROMPTS = ["Article: Rain stopped play.\nCategory:", "Article: The market fell today\nCategory:", "Article:"]
COMPLETIONS = ["Sports", "Science and technology", "World"]

WORKER = '''
"""FOLDER: print, from rank 0, a row-parallel layer's output and log-probabilities of the model, of all ranks."""
import json
import re
import sys

import torch
import torch.distributed as dist
from fairscale.nn.model_parallel.layers import RowParallelLinear

from llama import load
from llama.formats.weights import Part
from llama.int8 import Int8Linear, Quantizer
from llama.parallel import finish

PROMPTS, COMPLETIONS = {texts!r}


def measure(folder, ranks):
    model = load(folder, dtype="int8", model_parallel_size=ranks)
    rank, generator = dist.get_rank(), torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, 48, generator=generator).half().float() * 3 for size in (7, 20))
    layer = Int8Linear(RowParallelLinear(48, 20, bias=False, input_is_parallel=True))
    part = slice(rank * 48 // ranks, (rank + 1) * 48 // ranks)
    layer.weight, layer.scales = torch.empty(20, 48 // ranks, dtype=torch.int8), torch.empty(20)
    quantizer = Quantizer([layer.weight.shape], x.device)
    quantizer.quantize(Part([weight[:, part].half()]), True, layer.weight, layer.scales)
    return layer(x[:, part].contiguous()).tolist(), model.compute_log_probs(PROMPTS, COMPLETIONS)


if __name__ == "__main__":
    of_ranks = [None] * dist.get_world_size() if dist.is_initialized() else [None] * 2
    measured = measure(sys.argv[1], 2)
    dist.all_gather_object(of_ranks, measured)
    if dist.get_rank() == 0:
        print(json.dumps(of_ranks))
    finish()
'''

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture(autouse=True)
def package() -> None:
    pytest.importorskip("bitsandbytes")


def inputs(seed: int = 0) -> torch.Tensor:
    """Tokens (T, D) as bfloat16 has them, with outliers in some columns of some tokens."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(TOKENS, WIDTH, generator=generator)
    x[2, 5], x[2, 11], x[4, 11], x[5, 0] = 60.0, -THRESHOLD, 7.5, -300.0
    return x.bfloat16().float()


def quantize_matrix(weight: torch.Tensor, is_part: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    quantized, scales = torch.empty_like(weight, dtype=torch.int8), torch.empty(len(weight))
    Quantizer([weight.shape], weight.device).quantize(Part([weight.half()]), is_part, quantized, scales)
    return quantized, scales


def make_layer(weight: torch.Tensor, kind: type = ColumnParallelLinear, bias: torch.Tensor | None = None) -> Int8Linear:
    layer = Int8Linear(kind(weight.shape[1], weight.shape[0], bias=bias is not None))
    layer.weight, layer.scales = quantize_matrix(weight, kind is RowParallelLinear)
    if bias is not None:
        layer.bias.data = bias
    return layer


def definition(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """LLM.int8 of each token alone, number by number."""
    out = torch.zeros(len(x), len(weight), dtype=torch.float64)
    for token, row in enumerate(x.double()):
        usual = [column for column in range(len(row)) if abs(row[column]) < 6]
        scale = max(abs(row[column]) for column in usual)
        for place, weights in enumerate(weight.double()):
            weight_scale = weights.abs().max()
            rounded = [round(float(127 * number / weight_scale)) for number in weights]
            total = sum(round(float(127 * row[column] / scale)) * rounded[column] for column in usual)
            out[token, place] = total * scale * weight_scale / 127**2
            for column in set(range(len(row))) - set(usual):
                out[token, place] += row[column] * rounded[column] * weight_scale / 127
    return out


def random_weight() -> torch.Tensor:
    return torch.randn(OUT, WIDTH, generator=torch.Generator().manual_seed(1)).half().float()


@pytest.mark.parametrize("kind", [ColumnParallelLinear, RowParallelLinear])
def test_a_layer_is_what_the_paper_defines(kind, device) -> None:
    x, weight = inputs(), random_weight()
    layer = make_layer(weight, kind, torch.ones(OUT)).to(device)
    expected = definition(x, weight) + 1
    if device == "cpu":  # the CUDA kernels write float16
        torch.testing.assert_close(layer(x[None])[0].double(), expected, rtol=1e-4, atol=1e-3)
    layer.bias.data = layer.bias.bfloat16()
    half = layer(x.bfloat16()[None].to(device))[0]
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double().cpu(), expected, rtol=0.02, atol=0.05)
    assert not torch.allclose(expected, (x @ weight.t()).double() + 1, atol=1e-2)  # 8 bits are not enough for that


def test_outliers_are_exact() -> None:
    """They are not rounded. Weights that are multiples of their scale are not, either."""
    weight = torch.randint(-127, 128, (OUT, WIDTH), generator=torch.Generator().manual_seed(0)).float()
    weight[:, 0] = 127
    x = torch.zeros(3, WIDTH)
    x[0, 3], x[0, 7], x[2, 40] = 6.0, -1000.5, 8.25
    assert torch.equal(make_layer(weight)(x), x @ weight.t())


def test_a_token_does_not_depend_on_the_others(device) -> None:
    """With outlier columns of the whole batch, it would."""
    dtype, rounding = {"cpu": (torch.float32, 1e-6), "cuda": (torch.float16, 2e-3)}[device]
    x, layer = inputs().to(device, dtype), make_layer(random_weight()).to(device)
    alone = torch.cat([layer(row[None]) for row in x])
    torch.testing.assert_close(layer(x), alone, rtol=rounding, atol=10 * rounding)
    columns = find_outliers(x).any(0)
    assert columns.sum() == 3 and (find_outliers(x).sum(-1) < 3).all()


def test_rows_of_zeros() -> None:
    weight = random_weight()
    weight[4] = 0
    x = inputs()
    x[1] = 0
    found = make_layer(weight)(x)
    assert found.isfinite().all()
    assert not found[1].any() and not found[:, 4].any() and found[0].any()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_stays_so(number: float) -> None:
    """In its token; the others are what they are without it."""
    x, layer = inputs(), make_layer(random_weight())
    expected = layer(x)
    x[1, 7] = number
    found = layer(x)
    assert not found[1].isfinite().any()
    others = [0, *range(2, TOKENS)]
    torch.testing.assert_close(found[others], expected[others], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e5])
def test_damaged_weights_are_not_rounded_to_numbers(number: float) -> None:
    weight = torch.ones(OUT, WIDTH)
    weight[-1, -1] = number
    with pytest.raises(CheckpointError, match="a weight is NaN or infinite: the weights are damaged, or too large for"):
        make_layer(weight)


@pytest.mark.parametrize("rows", [0.5, 3, 1000])
def test_weights_are_rounded_as_bitsandbytes_rounds(rows, monkeypatch) -> None:
    """In parts of any number of rows."""
    monkeypatch.setattr("llama.int8.CHUNK", int(rows * WIDTH))
    for found, expected in zip(quantize_matrix(random_weight()), quantize_rows(random_weight().half()), strict=True):
        assert torch.equal(found, expected)


def test_a_model_in_8_bits(root, device) -> None:
    """The blocks' matrices alone; scores are near those of float32, in batches as alone."""
    folder = str(root / "checkpoints/tiny")
    exact, half, model = (load(folder, dtype=dtype) for dtype in ("float32", "bfloat16", "int8"))
    matrices = [key for key, weight in model.model.state_dict().items() if weight.dtype == torch.int8]
    assert len(matrices) == 7 * model.model.args.n_layers
    assert all(re.fullmatch(r"layers\.\d+\.(attention|feed_forward)\.w[123qkvo]\.weight", key) for key in matrices)
    assert {weight.dtype for weight in model.model.parameters()} == {torch.bfloat16}
    cache = model.model.new_cache(2, 5)
    assert {array.dtype for array in (*cache.keys, *cache.values)} == {torch.bfloat16}
    assert cache.keys[0].device.type == device

    requests = [Request(*exact.tokenizer.encode_pair(p, c)) for p in PROMPTS for c in COMPLETIONS]
    scores, rounded, found = (dict(all_batches(one.scoring(requests))) for one in (exact, half, model))
    for index, log_probs in found.items():
        torch.testing.assert_close(log_probs, scores[index], atol=0.3, rtol=0)
        assert not torch.equal(log_probs, rounded[index])
        (_, alone), *_ = all_batches(model.scoring([requests[index]]))
        torch.testing.assert_close(log_probs, alone, atol=0.2, rtol=0)  # both rounded to bfloat16
    assert model.generate(PROMPTS, 3, temperature=0) == exact.generate(PROMPTS, 3, temperature=0)


@pytest.mark.parametrize("shape", [{"n_kv_heads": 2}, {}])
def test_random_models(shape, make_checkpoint, tmp_path) -> None:
    folder = str(make_checkpoint(tmp_path / "random", shards=2, **shape))
    exact, model = load(folder), load(folder, dtype="int8")
    expected, found = (one.compute_log_probs(["Article: rain", "the"], ["Sports", "market"]) for one in (exact, model))
    assert found == pytest.approx(expected, abs=0.5)


@pytest.mark.slow
def test_two_ranks_round_as_one(make_checkpoint, run_script, tmp_path, root) -> None:
    """Scales of cut rows are those of whole rows, so a layer is equal; sums over ranks are rounded to bfloat16."""
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.replace("{texts!r}", repr((PROMPTS, COMPLETIONS))))
    folder = make_checkpoint(tmp_path / "random", shards=2)
    run = run_script(worker, folder, processes=2)
    assert run.returncode == 0, run.stderr
    (layer, scores), second = json.loads(run.stdout)
    assert second == [layer, scores]
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, 48, generator=generator).half().float() * 3 for size in (7, 20))
    torch.testing.assert_close(torch.tensor(layer), make_layer(weight, RowParallelLinear)(x), rtol=1e-5, atol=1e-4)
    assert scores == pytest.approx(load(str(folder), dtype="int8").compute_log_probs(PROMPTS, COMPLETIONS), abs=0.3)


def test_the_package_is_asked_for_before_the_model_loads(root, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(CheckpointError) as refused:
        load(str(root / "checkpoints/tiny"), dtype="int8")
    assert str(refused.value) == (
        "`dtype` int8 needs the package bitsandbytes, which is not installed: pip install -r requirements-int8.txt,"
        " or bitsandbytes"
    )
