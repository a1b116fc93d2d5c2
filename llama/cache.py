"""Keys and values of tokens that the model has seen."""

import torch
from torch import Tensor


class KeyValueCache:
    """Keys and values of B rows of tokens, one slot a token: a (B, slots, G, E) tensor each a layer.

    Args:
        keys, values: One tensor a layer.
        filled: Slots that are taken, in the longest row.
    """

    def __init__(self, keys: list[Tensor], values: list[Tensor], filled: int):
        self.keys = keys
        self.values = values
        self.filled = filled

    def update(self, layer: int, k: Tensor, v: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Write `k` and `v` (B, T, G, E) at `slots` (B or 1, T); what the tokens of this call may see.

        Before the first tokens there is nothing: they see each other.
        """
        rows = torch.arange(len(k), device=k.device)[:, None]
        self.keys[layer][rows, slots] = k
        self.values[layer][rows, slots] = v
        if not self.filled:
            return k, v
        end = self.filled + k.shape[1]
        return self.keys[layer][:, :end], self.values[layer][:, :end]

    def keep_rows(self, rows: Tensor) -> None:
        """Drop the rows of the batch that are not in `rows`."""
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]

    def follow(self, shared: "KeyValueCache | None") -> "KeyValueCache":
        """One row: what `shared` holds, then what this holds."""
        if shared is None:
            return self
        keys = [torch.cat(pair, dim=1) for pair in zip(shared.keys, self.keys, strict=True)]
        values = [torch.cat(pair, dim=1) for pair in zip(shared.values, self.values, strict=True)]
        return KeyValueCache(keys, values, shared.filled + self.filled)
