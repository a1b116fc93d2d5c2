"""The masks of a page, drawn: which words and patches are hidden, and which words count as not aligned."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from documents.chunks import IGNORED, Chunk
from pretrain.alignment import UNALIGNED
from pretrain.examples import Example, Masker
from pretrain.objectives import CPC, MLM, WPA

SIZE = 1120  # pixels of a side: five of each pixel that the model sees
COLOURS = {"masked": (214, 39, 40), "unaligned": (31, 119, 180), "aligned": (44, 160, 44), "cell": (148, 103, 189)}
LEGEND = {"masked": "token masked", "unaligned": "not aligned", "aligned": "aligned", "cell": "position hidden"}
PATCH = (90, 90, 90, 150)


def draw_preview(image: np.ndarray, chunk: Chunk, masker: Masker) -> bytes:
    """A PNG of a page as the model sees it, with its masked patches gray and a frame around each segment.

    Args:
        image: uint8 (3, S, S).
        chunk: The first one of the page.
    """
    example = masker.of_training(chunk, 0, 0)
    page = Image.fromarray(image.transpose(1, 2, 0)).resize((SIZE, SIZE), Image.Resampling.LANCZOS).convert("RGBA")
    gray = Image.new("RGBA", page.size)
    pen, step = ImageDraw.Draw(gray), SIZE / masker.side
    for row, column in np.argwhere(example.patches):
        pen.rectangle((column * step, row * step, (column + 1) * step - 1, (row + 1) * step - 1), fill=PATCH)
    page = Image.alpha_composite(page, gray).convert("RGB")
    pen = ImageDraw.Draw(page)
    for kind, box in frames(example, chunk):
        pen.rectangle([value * SIZE // 1000 for value in box], outline=COLOURS[kind], width=2)
    for line, (kind, text) in enumerate(LEGEND.items()):
        pen.rectangle((4, 4 + 18 * line, 18, 18 + 18 * line), fill=COLOURS[kind])
        pen.text((24, 3 + 18 * line), text, fill="black", font_size=14)
    file = BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def frames(example: Example, chunk: Chunk) -> list[tuple[str, tuple[int, int, int, int]]]:
    """What happened to the token at each place that something happened to, with its box."""
    nothing = [IGNORED] * len(chunk.words)
    masked, told, moved = (example.labels.get(name, nothing) for name in (MLM, WPA, CPC))
    found: dict[tuple[int, int, int, int], str] = {}
    for place, box in enumerate(chunk.boxes):
        if masked[place] != IGNORED:
            found[box] = "masked"
        elif moved[place] != IGNORED:
            found[box] = "cell"
        elif told[place] != IGNORED:
            found.setdefault(box, "unaligned" if told[place] == UNALIGNED else "aligned")
    return [(kind, box) for box, kind in found.items()]
