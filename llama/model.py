"""The model: LLaMA, Mistral, Qwen2 and Qwen3, from token ids to hidden states and logits.

Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models" and "Llama 2"; Llama 3: Grattafiori et al.
2024. Modules are named as in Meta's checkpoints. The matrices are fairscale's model-parallel layers: each of P ranks
stores 1 / P of them.

Shapes in comments:

    B rows, T tokens a row, S keys a row, D dim, H heads and G key-value heads of this rank, E head dimension,
    V vocabulary
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from fairscale.nn.model_parallel.initialize import get_model_parallel_world_size
from fairscale.nn.model_parallel.layers import ColumnParallelLinear, RowParallelLinear, VocabParallelEmbedding
from torch import Tensor, nn

from llama.attention import Packing, attend, make_bias
from llama.cache import KeyValueCache
from llama.params import ModelArgs


def keep(weight: Tensor) -> Tensor:
    """No initialisation of fairscale's layers, because every weight is loaded or set afterwards."""
    return weight


def column_parallel(
    in_features: int, out_features: int, bias: bool = False, gather_output: bool = False
) -> ColumnParallelLinear:
    """A linear layer whose outputs are divided among the ranks."""
    return ColumnParallelLinear(in_features, out_features, bias, gather_output=gather_output, init_method=keep)


def row_parallel(in_features: int, out_features: int, bias: bool = False) -> RowParallelLinear:
    """A linear layer whose inputs are divided among the ranks."""
    return RowParallelLinear(in_features, out_features, bias, input_is_parallel=True, init_method=keep)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight, in float32 (Zhang and Sennrich 2019, equation 4)."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of x."""
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        return (x * torch.rsqrt(norm.square() / x.shape[-1] + self.eps)).type_as(x) * self.weight


def rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Rotate each pair (x[2i], x[2i + 1]) of `x` (B, T, heads, E) by the angles of `rotary` (B or 1, T, E / 2, 2).

    Meta's weights pair neighbours; Hugging Face's pair i with i + E / 2, with wq and wk permuted to match. Complex
    multiplication by cos + i sin needs one pass over memory.
    """
    turns = torch.view_as_complex(rotary)[:, :, None]  # (B, T, 1, E / 2)
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).type_as(x)


@dataclass(frozen=True)
class Queries:
    """The attending tokens of a call.

    Args:
        rotary: Cosines and sines of their positions (B or 1, T, E / 2, 2).
        bias: Mask over the row's own keys, see `llama.attention.make_bias`; None: causal.
        packing: Their packing; None: not packed.
        places: Their indices among the tokens of the call (B, T); None: all.
    """

    rotary: Tensor
    bias: Tensor | None
    packing: Packing | None
    places: Tensor | None = None

    def select(self, x: Tensor) -> Tensor:
        """Those of all tokens `x` (B, T, D) that attend."""
        return x if self.places is None else x[torch.arange(len(x), device=x.device)[:, None], self.places]


@dataclass(frozen=True)
class Keys:
    """The tokens that are attended to.

    Args:
        rotary: Cosines and sines of the tokens of this call.
        packing: Their packing; None: not packed.
        shared: Keys and values of the prefix of all rows.
        cache: Keys and values of the rows' earlier tokens; those of this call are added.
        slots: Their slots in the cache (B or 1, T), as rows that are not packed.
    """

    rotary: Tensor
    packing: Packing | None
    shared: KeyValueCache | None
    cache: KeyValueCache | None
    slots: Tensor

    def gather(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
        """The keys and values of each row (B, S, G, E), and the shared ones."""
        if self.packing is not None:
            k, v = self.packing.unpack(k), self.packing.unpack(v)
        if self.cache is not None:
            k, v = self.cache.update(layer, k, v, self.slots)
        return k, v, None if self.shared is None else (self.shared.keys[layer], self.shared.values[layer])


class Attention(nn.Module):
    """Causal self-attention with grouped keys and values (Ainslie et al. 2023)."""

    def __init__(self, layer: int, args: ModelArgs):
        super().__init__()
        ranks = get_model_parallel_world_size()
        self.layer = layer
        self.head_dim = args.head_dim
        self.n_heads = args.n_heads // ranks
        self.n_kv_heads = args.n_kv_heads // ranks
        self.wq = column_parallel(args.dim, args.n_heads * args.head_dim, "wq" in args.biases)
        self.wk = column_parallel(args.dim, args.n_kv_heads * args.head_dim, "wk" in args.biases)
        self.wv = column_parallel(args.dim, args.n_kv_heads * args.head_dim, "wv" in args.biases)
        self.wo = row_parallel(args.n_heads * args.head_dim, args.dim, "wo" in args.biases)
        self.q_norm = RMSNorm(args.head_dim, args.norm_eps) if args.head_norms else nn.Identity()
        self.k_norm = RMSNorm(args.head_dim, args.norm_eps) if args.head_norms else nn.Identity()

    def forward(self, x: Tensor, queries: Queries, keys: Keys) -> Tensor:
        """Attention of the tokens that `queries` selects to all tokens: x (B, T, D) -> (B, T or W, D)."""
        q = self.q_norm(self.wq(queries.select(x)).unflatten(-1, (self.n_heads, self.head_dim)))  # (B, T, H, E)
        k = self.k_norm(self.wk(x).unflatten(-1, (self.n_kv_heads, self.head_dim)))  # (B, T, G, E)
        v = self.wv(x).unflatten(-1, (self.n_kv_heads, self.head_dim))
        k, v, shared = keys.gather(self.layer, rotate(k, keys.rotary), v)
        out = attend(rotate(q, queries.rotary), k, v, queries.bias, shared, queries.packing)
        return self.wo(out.flatten(-2))


class FeedForward(nn.Module):
    """SwiGLU: w2(silu(w1 x) * w3 x) (Shazeer 2020, equation 6)."""

    def __init__(self, dim: int, hidden_dim: int, biases: Collection[str] = ()):
        super().__init__()
        self.w1 = column_parallel(dim, hidden_dim, "w1" in biases)
        self.w2 = row_parallel(hidden_dim, dim, "w2" in biases)
        self.w3 = column_parallel(dim, hidden_dim, "w3" in biases)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to the last dimension of x."""
        reuse = not torch.is_grad_enabled()  # in place: the memory is already in the processor's cache
        gate = F.silu(self.w1(x), inplace=reuse)
        return self.w2(torch.mul(gate, self.w3(x), out=gate if reuse else None))


class TransformerBlock(nn.Module):
    """Attention and feed-forward layer, each with pre-normalisation and a residual connection."""

    def __init__(self, layer: int, args: ModelArgs):
        super().__init__()
        self.attention = Attention(layer, args)
        self.feed_forward = FeedForward(args.dim, args.hidden_dim, args.biases)
        self.attention_norm = RMSNorm(args.dim, args.norm_eps)
        self.ffn_norm = RMSNorm(args.dim, args.norm_eps)

    def forward(self, x: Tensor, queries: Queries, keys: Keys) -> Tensor:
        """Hidden states x (B, T, D) -> those of the tokens that `queries` selects (B, T or W, D)."""
        h = queries.select(x) + self.attention(self.attention_norm(x), queries, keys)
        return h + self.feed_forward(self.ffn_norm(h))


class Transformer(nn.Module):
    """LLaMA without its loss. `forward` returns hidden states, `output` computes the logits of selected ones."""

    output: Callable[[Tensor], Tensor]

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.args = args
        self.tok_embeddings = VocabParallelEmbedding(args.vocab_size, args.dim, init_method=keep)
        self.layers = nn.ModuleList(TransformerBlock(layer, args) for layer in range(args.n_layers))
        self.norm = RMSNorm(args.dim, args.norm_eps)
        self.output = column_parallel(args.dim, args.vocab_size, gather_output=True)
        self.register_buffer("rotary", args.rotary_table(), persistent=False)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        visible: Tensor | None = None,
        shared: KeyValueCache | None = None,
        cache: KeyValueCache | None = None,
        packing: Packing | None = None,
        places: Tensor | None = None,
        asked: Packing | None = None,
    ) -> Tensor:
        """Hidden states after the last norm.

        Args:
            tokens: Ids (B, T); of packed rows (1, N).
            positions: Position of each token in its sequence, shaped as `tokens` or (1, T); None: 0, 1, 2, ... after
                the shared prefix.
            visible: Which tokens of its row each token attends to (B, T, T); None: itself and those before it.
            shared: One row of keys and values, the prefix of all rows.
            cache: Keys and values of the rows' earlier tokens. Those of this call are added: position p goes to slot p,
                not counting the shared prefix. Empty if the rows are packed.
            packing: Packing of the tokens; None: not packed.
            places: Indices of the tokens (B, W) whose hidden states are returned; the last block computes only these.
                None: all.
            asked: Packing of the tokens at `places`, if `tokens` are packed.

        Returns:
            (B, T or W, D), in the dtype of the weights.
        """
        length, device = tokens.shape[1], tokens.device
        before = 0 if shared is None else shared.filled
        if positions is None:
            positions = torch.arange(before, before + length, device=device)[None]
        slots = positions - before if packing is None else torch.arange(packing.slots.shape[1], device=device)[None]
        if cache is not None and cache.filled:
            visible = torch.arange(cache.filled + length, device=device) <= slots[..., None]
        rotary = self.rotary[positions]
        keys = Keys(rotary, packing, shared, cache, slots)
        queries = Queries(rotary, self.make_bias(visible), packing)
        h = self.tok_embeddings(tokens)
        for layer in self.layers[:-1]:
            h = layer(h, queries, keys)
        if places is not None:
            queries = self.queries_at(places, asked, rotary, visible, packing)
        h = self.layers[-1](h, queries, keys)
        if cache is not None:
            cache.filled += slots.shape[1]
        return self.norm(h)

    def queries_at(
        self, places: Tensor, asked: Packing | None, rotary: Tensor, visible: Tensor | None, packing: Packing | None
    ) -> Queries:
        """The queries of the tokens at `places`; see `forward`."""
        count = rotary.shape[1] if packing is None else packing.slots.shape[1]  # tokens of a row
        rows = torch.arange(len(places), device=places.device)[:, None]
        turned = rotary.expand(len(places), -1, -1, -1)[rows, places]
        slots = places  # (B, W) of each row
        if packing is not None and asked is not None:
            slots = asked.unpack(packing.tokens[places] % count)
            rows = torch.arange(len(slots), device=places.device)[:, None]
        if visible is None:
            visible = torch.arange(count, device=places.device) <= slots[..., None]
        else:
            visible = visible[rows, slots]
        return Queries(turned, self.make_bias(visible), asked, places)

    def make_bias(self, visible: Tensor | None) -> Tensor | None:
        """The attention bias in the dtype of the weights; None if all keys are visible."""
        return None if visible is None else make_bias(visible, self.norm.weight.dtype)

    def new_cache(self, batch_size: int, slots: int) -> KeyValueCache:
        """An empty cache for the keys and values of this rank's heads."""
        attention = self.layers[0].attention
        shape = (batch_size, slots, attention.n_kv_heads, attention.head_dim)
        keys, values = ([self.norm.weight.new_zeros(shape) for _ in self.layers] for _ in range(2))
        return KeyValueCache(keys, values, filled=0)
