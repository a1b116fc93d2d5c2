"""Attention over two runs of keys: the one that all rows share, held once, and each row's own.

The softmax over both is put together from the softmax over each and the logarithm of its normaliser (the log-sum-exp of
its scores): with o1, l1 and o2, l2 the outputs and normalisers,

    o = o1 e^l1 / (e^l1 + e^l2) + o2 e^l2 / (e^l1 + e^l2) = o2 + (o1 - o2) sigmoid(l1 - l2)

(Milakov and Gimelshein 2018, section 3.1). So what rows share is never copied to each of them. PyTorch's public
`scaled_dot_product_attention` keeps the normaliser to itself; the kernels behind it give it.

Shapes: B rows, T queries and S keys a row, P shared keys, H heads, G key-value heads, E width of a head.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

ALIGNMENT = 16  # the CUDA kernel reads a mask whose rows begin at multiples of so many numbers


class Packing(NamedTuple):
    """Rows of different length without padding, one behind the other: N tokens that are B rows of at most T.

    Args:
        slots: The token at each place of the rows (B, T); any token where there is none.
        tokens: The place of each token (N), counted through the rows.
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
    q_packing: Packing | None = None,
    k_packing: Packing | None = None,
) -> Tensor:
    """Attention of `q` (B, T, H, E) to `k` and `v` (B, S, G, E), and to all of `shared`: (B, T, H, E).

    Args:
        bias: From `make_bias` (B, 1, T, S), over the row's own keys; None: causal.
        shared: Keys and values (1, P, G, E) that stand before every row.
        q_packing: The queries are packed (1, N, H, E), and so is what is returned.
        k_packing: So are the keys and values.
    """
    group = q.shape[2] // k.shape[2]
    if k_packing is not None:
        k, v = k_packing.unpack(k), k_packing.unpack(v)
    rows = q if q_packing is None else q_packing.unpack(q)
    own = [heads.transpose(1, 2) for heads in (rows, repeat(k, group), repeat(v, group))]
    if shared is None:
        out = F.scaled_dot_product_attention(*own, attn_mask=bias, is_causal=bias is None).transpose(1, 2)
        return out if q_packing is None else q_packing.pack(out)
    out, normaliser = (part.transpose(1, 2) for part in kernel(*own, bias, is_causal=bias is None))
    if q_packing is not None:
        out, normaliser = q_packing.pack(out), q_packing.pack(normaliser)
    shared_out, shared_normaliser = attend_shared(q, *shared)
    weight = torch.sigmoid(shared_normaliser - normaliser)[..., None]  # (B, T, H, 1)
    return torch.lerp(out, shared_out, weight.type_as(out))


def attend_shared(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Every query of every row to all shared keys: out (B, T, H, E), normaliser (B, T, H).

    No mask, so the rows lie behind each other as one, and the heads that share a key-value head behind each other too.
    """
    rows, length, heads, width = q.shape
    count, kv_heads = rows * length, k.shape[2]
    group = heads // kv_heads
    folded = q.reshape(count, kv_heads, group, width).permute(1, 2, 0, 3).reshape(1, kv_heads, group * count, width)
    out, normaliser = kernel(folded, k.transpose(1, 2), v.transpose(1, 2), None, is_causal=False)
    out = out.reshape(kv_heads, group, count, width).permute(2, 0, 1, 3).reshape(q.shape)
    return out, normaliser.reshape(kv_heads, group, count).permute(2, 0, 1).reshape(rows, length, heads)


def repeat(heads: Tensor, group: int) -> Tensor:
    return heads if group == 1 else heads.repeat_interleave(group, dim=2)


def kernel(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, is_causal: bool) -> tuple[Tensor, Tensor]:
    """Fused attention of (B, H, T, E) to (B, H, S, E): out (B, H, T, E) and normaliser (B, H, T), float32."""
    if q.device.type == "cuda":
        if bias is not None:
            bias = bias.expand(q.shape[0], q.shape[1], -1, -1)
        out, normaliser, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(
            q, k, v, bias, compute_log_sumexp=True, is_causal=is_causal
        )
        return out, normaliser[:, :, : q.shape[2]]  # the kernel rounds the length up
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, is_causal=is_causal, attn_mask=bias)


def make_bias(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to the scores: 0 where `visible` (B, T, S), else -inf. (B, 1, T, S)."""
    rows, queries, keys = visible.shape
    stored = torch.zeros(rows, 1, queries, -(-keys // ALIGNMENT) * ALIGNMENT, dtype=dtype, device=visible.device)
    return stored[..., :keys].masked_fill_(~visible[:, None], float("-inf"))
