"""Draw the figure of docs/pretraining.md: the buckets of the relative positions. Needs requirements-tiny-llama.txt.

python docs/draw_pretraining.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from matplotlib import pyplot as plt
from transformers import LayoutLMv3Config, LayoutLMv3Model

FIGURE = Path(__file__).resolve().parent / "buckets.png"
TABLES = {"tokens": (32, 128), "thousandths of the page": (64, 256)}


def main() -> None:
    shape = {"vocab_size": 8, "hidden_size": 12, "coordinate_size": 2, "shape_size": 2, "num_hidden_layers": 1}
    encoder = LayoutLMv3Model(LayoutLMv3Config(**shape, num_attention_heads=1)).encoder
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for axis, (unit, (count, reach)) in zip(axes, TABLES.items(), strict=True):
        distances = torch.arange(-reach - 40, reach + 41)
        buckets = encoder.relative_position_bucket(distances, num_buckets=count, max_distance=reach)
        axis.step(distances, buckets, where="mid")
        axis.axvline(0, color="gray", linewidth=0.5)
        axis.set(xlabel=f"distance in {unit}", ylabel="bucket", title=f"{count} buckets, up to {reach}")
    figure.savefig(FIGURE, dpi=90)


if __name__ == "__main__":
    main()
