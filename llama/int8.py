"""Linear layers in 8 bits: LLM.int8 (Dettmers et al. 2022), computed by bitsandbytes.

With rows x of the input and w of the weight matrix, and o(x) the outliers of x, its elements of 6 or more in size,

    x w^T  =  o(x) w^T  +  (x - o(x)) w^T                                               (equation 8)
    (x - o(x)) w^T  ~  c_x c_w / 127^2  q_x q_w^T      q_x = round(127 (x - o(x)) / c_x), c_x = max |x - o(x)|

so each token and each row of the weights has its own scale c (vector-wise, section 3.1). q_x q_w^T is a sum of whole
numbers. The first product is in 16 bits, with weights c_w q_w / 127: the original weights are not kept.

The paper computes a column of x in 16 bits for all tokens of a batch if one of them has an outlier there. A token's
result would then depend on the other tokens of its batch. Here each token has its own outliers, so its result is that
of the paper's method for this token alone.

Each of P ranks has a part of every matrix. Where the parts are columns (wo, w2), a scale is the maximum over the ranks'
parts, so that P ranks round the same numbers as one.
"""

import importlib.util
import logging
import math
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from fairscale.nn.model_parallel.initialize import get_model_parallel_group, get_model_parallel_world_size
from fairscale.nn.model_parallel.layers import ColumnParallelLinear, RowParallelLinear
from fairscale.nn.model_parallel.mappings import reduce_from_model_parallel_region
from torch import Tensor, nn

from llama.errors import CheckpointError
from llama.formats.weights import Part

THRESHOLD = 6.0  # of outliers (section 3.2)
STEPS = 127  # a scale is this many steps
SMALLEST = 1e-30  # scale
CHUNK = 1 << 18  # numbers of a weight matrix that are quantized at once
PACKAGE = "bitsandbytes"


def check_package() -> None:
    """Raises CheckpointError if bitsandbytes is not installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise CheckpointError(
            f"`dtype` int8 needs the package {PACKAGE}, which is not installed: pip install -r requirements-int8.txt,"
            f" or {PACKAGE}"
        )


@cache
def ops() -> Any:
    """The operators of bitsandbytes, which is imported when they are used: that takes seconds.

    If the package `kernels` is there, the import would load code from the hub with it, so it is hidden meanwhile.
    """
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # warns that `kernels` is absent
    kernels = sys.modules.get("kernels")
    sys.modules["kernels"] = None  # type: ignore[assignment]
    try:
        import bitsandbytes  # noqa: F401 - registers the operators
    finally:
        del sys.modules["kernels"]
        if kernels is not None:
            sys.modules["kernels"] = kernels
    return torch.ops.bitsandbytes


def quantize_rows(x: Tensor, is_part: bool = False) -> tuple[Tensor, Tensor]:
    """Tokens in 8 bits.

    Args:
        x: (T, D), float16.
        is_part: Whether the columns are a part of those of the model-parallel group, whose ranks all call this.

    Returns:
        The rounded numbers (T, D), int8, and their scales (T), float32.
    """
    if not is_part or get_model_parallel_world_size() == 1:
        return ops().int8_vectorwise_quant(x.contiguous())[:2]  # its kernels ignore strides
    scales = share_maximum(torch.linalg.vector_norm(x, torch.inf, dim=-1, dtype=torch.float32))
    return torch.round(x * steps_per_unit(scales)).to(torch.int8), scales


def share_maximum(scales: Tensor) -> Tensor:
    """The maximum of the scales over the ranks of the model-parallel group, in place."""
    if get_model_parallel_world_size() > 1:
        dist.all_reduce(scales, op=dist.ReduceOp.MAX, group=get_model_parallel_group())
    return scales


def steps_per_unit(scales: Tensor) -> Tensor:
    """What numbers are multiplied by before they are rounded (N, 1); finite for rows of zeros."""
    return (STEPS / scales.clamp(min=SMALLEST))[:, None]


class Quantizer:
    """Quantizes weight matrices one after another, always in the same memory: freed copies would leave gaps in it.

    Args:
        shapes: Those of the matrices.
        device: Their device.
    """

    def __init__(self, shapes: Sequence[torch.Size], device: torch.device):
        self.matrix = torch.empty(max(map(math.prod, shapes), default=0), dtype=torch.float16, device=device)
        self.rows = torch.empty(max(CHUNK, *(shape[1] for shape in shapes), 0), device=device)

    def quantize(self, stored: Part, is_part: bool, quantized: Tensor, scales: Tensor) -> None:
        """Read a matrix (N, D), and write it to `quantized` (N, D) and `scales` (N).

        Args:
            is_part: As for `quantize_rows`.

        Raises:
            CheckpointError: A number is NaN or infinite, or above 65,504.
        """
        matrix = self.matrix[: quantized.numel()].view_as(quantized)
        stored.copy_to(matrix)
        count = max(1, CHUNK // matrix.shape[1])
        for start in range(0, len(matrix), count):
            part = slice(start, start + count)
            rows = self.rows[: matrix[part].numel()].view_as(matrix[part]).copy_(matrix[part])
            scales[part] = torch.linalg.vector_norm(rows, torch.inf, dim=-1)
            if not scales[part].isfinite().all():
                raise CheckpointError(
                    "a weight is NaN or infinite: the weights are damaged, or too large for `dtype` int8"
                )
            if is_part:
                share_maximum(scales[part])
            quantized[part] = rows.mul_(steps_per_unit(scales[part])).round_()


def find_outliers(x: Tensor) -> Tensor:
    """Which elements of x (T, D) are multiplied in 16 bits. NaN is one, which would be rounded to a number."""
    return ~(x.abs() < THRESHOLD)


class Int8Linear(nn.Module):
    """This rank's part of a linear layer in 8 bits.

    Args:
        layer: The layer to replace. In RowParallelLinear the ranks share the columns of the input and add up their
            outputs, in ColumnParallelLinear each computes its part of the output. Its weights are not kept: those in 8
            bits are loaded afterwards.
    """

    weight: Tensor  # (N, D), int8
    scales: Tensor  # (N), float32

    def __init__(self, layer: ColumnParallelLinear | RowParallelLinear):
        super().__init__()
        self.is_part = isinstance(layer, RowParallelLinear)
        self.bias = layer.bias
        self.register_buffer("weight", torch.empty_like(layer.weight, dtype=torch.int8, device="meta"))
        self.register_buffer("scales", torch.empty(len(layer.weight), device="meta"))

    def forward(self, x: Tensor) -> Tensor:
        out = self.multiply(x.flatten(0, -2)).unflatten(0, x.shape[:-1])
        if self.is_part:
            out = reduce_from_model_parallel_region(out)
        return out if self.bias is None else out + self.bias

    def multiply(self, x: Tensor) -> Tensor:
        """x (T, D) times the weights: (T, N), both in 16 bits."""
        is_outlier = find_outliers(x)
        quantized, scales = quantize_rows(x.masked_fill(is_outlier, 0).half(), self.is_part)
        out = ops().int8_scaled_mm(quantized, self.weight, scales, self.scales, dtype=x.dtype)
        columns = is_outlier.any(0).nonzero()[:, 0]
        if len(columns):
            outliers = x[:, columns].where(is_outlier[:, columns], 0)
            weights = ops().int8_vectorwise_dequant(self.weight[:, columns], self.scales)
            out.addmm_(outliers, weights.to(x.dtype).t())
        return out


def quantize_layers(model: nn.Module) -> None:
    """Replace the linear layers of the blocks of a model by layers in 8 bits."""
    ops()  # imported now, not in the first batch, whose time is measured
    for module in model.layers.modules():
        for name, layer in list(module.named_children()):
            if isinstance(layer, ColumnParallelLinear | RowParallelLinear):
                setattr(module, name, Int8Linear(layer))
