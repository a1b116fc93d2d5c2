"""Meta's LLaMA, from token ids to hidden states and logits.

Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models" and "Llama 2". The names of the modules are
the keys of Meta's checkpoints. The matrices are fairscale's model-parallel layers, so that each of P ranks holds 1 / P
of them.

This file knows nothing about tokens' meaning, files or processes. Shapes in comments:

    B batch, T tokens of this call, S positions held in the cache, D dim, H heads and G key-value heads of this rank,
    E width of a head, V vocabulary
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from fairscale.nn.model_parallel.initialize import get_model_parallel_world_size
from fairscale.nn.model_parallel.layers import ColumnParallelLinear, ParallelEmbedding, RowParallelLinear
from torch import Tensor, nn


@dataclass(frozen=True)
class ModelArgs:
    """The keys of params.json.

    Args:
        dim: Width of the residual stream.
        n_layers: Number of blocks.
        n_heads: Attention heads.
        n_kv_heads: Heads of keys and values (grouped-query attention); None: as many as n_heads.
        vocab_size: Rows of the embedding. -1 in a file stands for the tokenizer's size and is resolved on loading.
        multiple_of: The feed-forward width is rounded up to a multiple of it.
        ffn_dim_multiplier: Factor on the feed-forward width before rounding (Llama 2 70B).
        norm_eps: Added to the mean square in RMSNorm.
        rope_theta: Base of the rotary frequencies.
        max_seq_len: Longest sequence, in tokens.
        max_batch_size: In Meta's own ModelArgs; read and not used, batches are the caller's business.
    """

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int | None = None
    vocab_size: int = -1
    multiple_of: int = 256
    ffn_dim_multiplier: float | None = None
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    max_seq_len: int = 1024
    max_batch_size: int | None = None

    @property
    def kv_heads(self) -> int:
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads

    @property
    def hidden_dim(self) -> int:
        """Width of the feed-forward layer: 2/3 of 4 dim, scaled, rounded up to a multiple of `multiple_of`."""
        hidden = 2 * 4 * self.dim // 3
        if self.ffn_dim_multiplier is not None:
            hidden = int(self.ffn_dim_multiplier * hidden)
        return -(-hidden // self.multiple_of) * self.multiple_of


def keep(weight: Tensor) -> Tensor:
    """The initialisation of fairscale's layers: none, since every weight is loaded or set afterwards."""
    return weight


def column_parallel(in_features: int, out_features: int, gather_output: bool = False) -> ColumnParallelLinear:
    return ColumnParallelLinear(in_features, out_features, bias=False, gather_output=gather_output, init_method=keep)


def row_parallel(in_features: int, out_features: int) -> RowParallelLinear:
    return RowParallelLinear(in_features, out_features, bias=False, input_is_parallel=True, init_method=keep)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight, in float32 (Zhang and Sennrich 2019, equation 4)."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        x32 = x.float()
        return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + self.eps)).type_as(x) * self.weight


def rotary_table(head_dim: int, length: int, theta: float) -> Tensor:
    """Cosines and sines of position x frequency, float32, (length, head_dim / 2, 2) (Su et al. 2021, equation 15)."""
    frequencies = theta ** -(torch.arange(0, head_dim, 2).float() / head_dim)
    angles = torch.outer(torch.arange(length).float(), frequencies)
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Turn each pair (x[2i], x[2i + 1]) of `x` (B, T, heads, E) by the angles of `rotary` (B or 1, T, E / 2, 2).

    Meta's weights pair neighbours; Hugging Face's pair i with i + E / 2 and permute wq and wk to match.
    """
    cos, sin = rotary[:, :, None].unbind(-1)  # (B, T, 1, E / 2) each
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).type_as(x)


class KeyValueCache:
    """Keys and values of the tokens seen so far, one slot a position: a (B, S, G, E) tensor each a layer."""

    def __init__(self, keys: list[Tensor], values: list[Tensor]):
        self.keys = keys
        self.values = values

    @classmethod
    def empty(cls, model: "Transformer", batch_size: int, slots: int) -> "KeyValueCache":
        attention = model.layers[0].attention
        shape = (batch_size, slots, attention.n_kv_heads, attention.head_dim)
        weight = attention.wk.weight
        return cls([weight.new_zeros(shape) for _ in model.layers], [weight.new_zeros(shape) for _ in model.layers])

    def extend(self, batch_size: int, slots: int) -> "KeyValueCache":
        """`batch_size` rows that all begin with what this cache of one row holds, and `slots` more."""

        def grow(held: Tensor) -> Tensor:
            free = held.new_zeros(batch_size, slots, *held.shape[2:])
            return torch.cat([held.expand(batch_size, -1, -1, -1), free], dim=1)

        return KeyValueCache(list(map(grow, self.keys)), list(map(grow, self.values)))

    def update(self, layer: int, k: Tensor, v: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Write `k` and `v` (B, T, G, E) at `positions` (B or 1, T) and return all slots of the layer."""
        rows = torch.arange(len(k), device=k.device)[:, None]
        self.keys[layer][rows, positions] = k
        self.values[layer][rows, positions] = v
        return self.keys[layer], self.values[layer]

    def keep_rows(self, rows: Tensor) -> None:
        """Drop the rows of the batch that are not in `rows`."""
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]


class Attention(nn.Module):
    """Causal self-attention with grouped keys and values (Ainslie et al. 2023)."""

    def __init__(self, layer: int, args: ModelArgs):
        super().__init__()
        ranks = get_model_parallel_world_size()
        self.layer = layer
        self.head_dim = args.head_dim
        self.n_heads = args.n_heads // ranks
        self.n_kv_heads = args.kv_heads // ranks
        self.wq = column_parallel(args.dim, args.n_heads * args.head_dim)
        self.wk = column_parallel(args.dim, args.kv_heads * args.head_dim)
        self.wv = column_parallel(args.dim, args.kv_heads * args.head_dim)
        self.wo = row_parallel(args.n_heads * args.head_dim, args.dim)

    def forward(
        self, x: Tensor, rotary: Tensor, mask: Tensor | None, cache: KeyValueCache | None, positions: Tensor
    ) -> Tensor:
        q = rotate(self.wq(x).unflatten(-1, (self.n_heads, self.head_dim)), rotary)  # (B, T, H, E)
        k = rotate(self.wk(x).unflatten(-1, (self.n_kv_heads, self.head_dim)), rotary)  # (B, T, G, E)
        v = self.wv(x).unflatten(-1, (self.n_kv_heads, self.head_dim))  # (B, T, G, E)
        if cache is not None:
            k, v = cache.update(self.layer, k, v, positions)  # (B, S, G, E)
        group = self.n_heads // self.n_kv_heads
        if group > 1:
            k, v = k.repeat_interleave(group, dim=2), v.repeat_interleave(group, dim=2)
        q, k, v = (heads.transpose(1, 2) for heads in (q, k, v))  # (B, H, T or S, E)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.wo(out.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """SwiGLU: w2(silu(w1 x) * w3 x) (Shazeer 2020, equation 6)."""

    def __init__(self, dim: int, hidden_dim: int):
        super().__init__()
        self.w1 = column_parallel(dim, hidden_dim)
        self.w2 = row_parallel(hidden_dim, dim)
        self.w3 = column_parallel(dim, hidden_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class TransformerBlock(nn.Module):
    def __init__(self, layer: int, args: ModelArgs):
        super().__init__()
        self.attention = Attention(layer, args)
        self.feed_forward = FeedForward(args.dim, args.hidden_dim)
        self.attention_norm = RMSNorm(args.dim, args.norm_eps)
        self.ffn_norm = RMSNorm(args.dim, args.norm_eps)

    def forward(
        self, x: Tensor, rotary: Tensor, mask: Tensor | None, cache: KeyValueCache | None, positions: Tensor
    ) -> Tensor:
        h = x + self.attention(self.attention_norm(x), rotary, mask, cache, positions)
        return h + self.feed_forward(self.ffn_norm(h))


class Transformer(nn.Module):
    """LLaMA without its loss. `forward` gives hidden states; `output` turns those that are wanted into logits."""

    output: Callable[[Tensor], Tensor]

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.args = args
        self.tok_embeddings = ParallelEmbedding(args.vocab_size, args.dim, init_method=keep)
        self.layers = nn.ModuleList(TransformerBlock(layer, args) for layer in range(args.n_layers))
        self.norm = RMSNorm(args.dim, args.norm_eps)
        self.output = column_parallel(args.dim, args.vocab_size, gather_output=True)
        self.register_buffer("rotary", rotary_table(args.head_dim, args.max_seq_len, args.rope_theta), persistent=False)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Hidden states after the last norm.

        Args:
            tokens: Ids (B, T).
            positions: Place of each token in its sequence (B or 1, T); None: 0, 1, 2, ...
            cache: Keys and values of earlier calls; those of this call are written at `positions`, and a token sees the
                slots up to its own.

        Returns:
            (B, T, D), in the dtype of the weights.
        """
        if positions is None:
            positions = torch.arange(tokens.shape[1], device=tokens.device)[None]
        mask = None  # causal
        if cache is not None:
            slots = torch.arange(cache.keys[0].shape[1], device=tokens.device)
            mask = (slots <= positions[..., None])[:, None]  # (B, 1, T, S)
        rotary = self.rotary[positions]
        h = self.tok_embeddings(tokens)
        for layer in self.layers:
            h = layer(h, rotary, mask, cache, positions)
        return self.norm(h)
