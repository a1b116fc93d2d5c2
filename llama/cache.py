"""The key-value cache."""

import torch
from torch import Tensor


class KeyValueCache:
    """Keys and values of B rows, one slot for each token: (B, slots, G, E) tensors.

    Args:
        keys, values: One tensor for each layer.
        filled: Number of used slots in the longest row.
    """

    def __init__(self, keys: list[Tensor], values: list[Tensor], filled: int):
        self.keys = keys
        self.values = values
        self.filled = filled

    def update(self, layer: int, k: Tensor, v: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Write `k` and `v` (B, T, G, E) to `slots` (B or 1, T), and return the keys and values of all used slots.

        The first call returns `k` and `v` themselves: the cache was empty.
        """
        rows = torch.arange(len(k), device=k.device)[:, None]
        self.keys[layer][rows, slots] = k
        self.values[layer][rows, slots] = v
        if not self.filled:
            return k, v
        end = self.filled + k.shape[1]
        return self.keys[layer][:, :end], self.values[layer][:, :end]

    def keep_rows(self, rows: Tensor) -> None:
        """Keep only the rows whose indices are in `rows`. Only one tensor at a time is in memory twice."""
        for tensors in (self.keys, self.values):
            for layer, tensor in enumerate(tensors):
                tensors[layer] = tensor[rows]

    def follow(self, shared: "KeyValueCache | None") -> "KeyValueCache":
        """The cache of one row: the slots of `shared`, then those of this cache."""
        if shared is None:
            return self
        keys = [torch.cat(pair, dim=1) for pair in zip(shared.keys, self.keys, strict=True)]
        values = [torch.cat(pair, dim=1) for pair in zip(shared.values, self.values, strict=True)]
        return KeyValueCache(keys, values, shared.filled + self.filled)
