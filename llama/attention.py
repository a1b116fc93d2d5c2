"""Attention over a shared prefix, whose keys are stored once for all rows, and over each row's own keys.

The softmax over both sets of keys is computed from the two partial results and their log-normalisers (the log-sum-exp
of the scores). With outputs o1, o2 and log-normalisers l1, l2,

    o = o1 e^l1 / (e^l1 + e^l2) + o2 e^l2 / (e^l1 + e^l2) = o2 + (o1 - o2) sigmoid(l1 - l2)

(Milakov and Gimelshein 2018, section 3.1). So the prefix is never copied to each row. PyTorch's public
`scaled_dot_product_attention` does not return the normaliser, but the kernels that it calls do.

Shapes: B rows, T queries and S keys a row, P shared keys, H heads, G key-value heads, E head dimension.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

ALIGNMENT = 16  # the CUDA kernel requires the rows of a mask to begin at multiples of 16 numbers
WIDTH = 8  # and heads of a multiple of 8 numbers, 16 bytes in half precision


class Packing(NamedTuple):
    """Rows of different lengths concatenated without padding: N tokens in B rows of at most T.

    Args:
        slots: Index of the token in each slot of the padded rows (B, T); arbitrary in padding.
        tokens: Slot of each token (N), in the flattened padded rows.
    """

    slots: Tensor
    tokens: Tensor

    def unpack(self, x: Tensor) -> Tensor:
        """(1, N, ...) -> (B, T, ...)."""
        return x[0].index_select(0, self.slots.flatten()).unflatten(0, self.slots.shape)

    def pack(self, x: Tensor) -> Tensor:
        """(B, T, ...) -> (1, N, ...)."""
        return x.flatten(0, 1).index_select(0, self.tokens)[None]


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None = None,
    shared: tuple[Tensor, Tensor] | None = None,
    packing: Packing | None = None,
) -> Tensor:
    """Attention of `q` (B, T, H, E) to `k` and `v` (B, S, G, E), and to all of `shared`: (B, T, H, E).

    Args:
        bias: From `make_bias` (B, 1, T, S), over the row's own keys; None: causal.
        shared: Keys and values (1, P, G, E) of the prefix of all rows.
        packing: Packing of the queries and of the output (1, N, H, E); None: not packed.
    """
    group = q.shape[2] // k.shape[2]
    rows = q if packing is None else packing.unpack(q)
    own = [heads.transpose(1, 2) for heads in (rows, repeat(k, group), repeat(v, group))]
    if shared is None:
        out = attend_alone(*own, bias, is_causal=bias is None).transpose(1, 2)
        return out if packing is None else packing.pack(out)
    out, normaliser = (part.transpose(1, 2) for part in kernel(*own, bias, is_causal=bias is None))
    if packing is not None:
        out, normaliser = packing.pack(out), packing.pack(normaliser)
    shared_out, shared_normaliser = attend_shared(q, *shared)
    weight = torch.sigmoid(shared_normaliser - normaliser)[..., None]  # (B, T, H, 1)
    return torch.lerp(out, shared_out, weight.type_as(out))


def attend_alone(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, is_causal: bool) -> Tensor:
    """The output of `kernel`; CUDA has faster ones without the log-normaliser."""
    if q.device.type == "cuda":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=is_causal)
    return kernel(q, k, v, bias, is_causal)[0]


def attend_shared(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Attention of every query to all shared keys: out (B, T, H, E), log-normaliser (B, T, H).

    There is no mask, so all rows, and the heads that share a key-value head, are concatenated into one row.
    """
    rows, length, heads, width = q.shape
    count, kv_heads = rows * length, k.shape[2]
    group = heads // kv_heads
    folded = q.reshape(count, kv_heads, group, width).permute(1, 2, 0, 3).reshape(1, kv_heads, group * count, width)
    out, normaliser = kernel(folded, k.transpose(1, 2), v.transpose(1, 2), None, is_causal=False)
    out = out.reshape(kv_heads, group, count, width).permute(2, 0, 1, 3).reshape(q.shape)
    return out, normaliser.reshape(kv_heads, group, count).permute(2, 0, 1).reshape(rows, length, heads)


def repeat(heads: Tensor, group: int) -> Tensor:
    """Key-value heads (B, S, G, E) repeated for the query heads of each group: (B, S, G * group, E)."""
    return heads if group == 1 else heads.repeat_interleave(group, dim=2)


def kernel(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, is_causal: bool) -> tuple[Tensor, Tensor]:
    """Fused attention of (B, H, T, E) to (B, H, S, E): out (B, H, T, E) and log-normaliser (B, H, T), float32."""
    if q.device.type == "cuda":
        *_, queries, width = q.shape
        if width % WIDTH:
            q, k, v = (F.pad(heads, (0, -width % WIDTH)) for heads in (q, k, v))
        if bias is not None:
            bias = bias.expand(q.shape[0], q.shape[1], -1, -1)
        out, normaliser, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(
            q, k, v, bias, compute_log_sumexp=True, is_causal=is_causal, scale=width**-0.5
        )
        return out[:, :, :, :width], normaliser[:, :, :queries]  # the kernel rounds the length up
    queries = q.shape[2]
    if queries == 1 and q.dtype == torch.bfloat16:  # one query takes three times as long as two
        q, bias = q.expand(-1, -1, 2, -1), None if bias is None else bias.expand(-1, -1, 2, -1)
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return tuple(part[:, :, :queries] for part in flash(q, k, v, is_causal=is_causal, attn_mask=bias))


def make_bias(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """The attention mask that is added to the scores (B, 1, T, S): 0 where `visible` (B, T, S), else -inf."""
    rows, queries, keys = visible.shape
    stored = torch.zeros(rows, 1, queries, -(-keys // ALIGNMENT) * ALIGNMENT, dtype=dtype, device=visible.device)
    return stored[..., :keys].masked_fill_(~visible[:, None], float("-inf"))
