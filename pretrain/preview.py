"""A drawing of the masks of a page: which words and patches are hidden, and which words are unaligned."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from documents.chunks import IGNORED, SPECIAL, Chunk
from pretrain.alignment import UNALIGNED
from pretrain.examples import Example, Masker
from pretrain.objectives import CPC, MLM, WPA

SIZE, STRIP = 1120, 40  # side of the page in pixels, 5 for each pixel of the model's input; height of the legend
COLOURS = {"masked": (214, 39, 40), "unaligned": (31, 119, 180), "aligned": (44, 160, 44), "cell": (148, 103, 189)}
LEGEND = {
    "masked": "share of tokens masked",
    "unaligned": "other tokens not aligned",
    "aligned": "other tokens aligned",
    "cell": "position hidden",
}
PATCH = (90, 90, 90, 150)
BAR = 5  # height in pixels of the bar for the share of masked tokens

Box = tuple[int, int, int, int]


def draw_preview(image: np.ndarray, chunk: Chunk, masker: Masker) -> bytes:
    """A PNG of a page as the model sees it: masked patches are gray, each segment has a frame, and a bar below the
    frame shows the share of masked tokens.

    Args:
        image: uint8 (3, S, S).
        chunk: The first chunk of the page.
    """
    example = masker.of_training(chunk, 0, 0)
    page = Image.fromarray(image.transpose(1, 2, 0)).resize((SIZE, SIZE), Image.Resampling.LANCZOS).convert("RGBA")
    gray = Image.new("RGBA", page.size)
    pen, step = ImageDraw.Draw(gray), SIZE / masker.side
    for row, column in np.argwhere(example.patches):
        pen.rectangle((column * step, row * step, (column + 1) * step - 1, (row + 1) * step - 1), fill=PATCH)
    drawn = Image.new("RGB", (SIZE, SIZE + STRIP), "white")
    drawn.paste(Image.alpha_composite(page, gray).convert("RGB"))
    pen = ImageDraw.Draw(drawn)
    for box, (kind, share) in segments_of(example, chunk).items():
        x0, y0, x1, y1 = (value * SIZE // 1000 for value in box)
        pen.rectangle((x0, y0, x1, y1), outline=COLOURS.get(kind, COLOURS["masked"]), width=2)
        if share:
            pen.rectangle((x0, y1 + 2, x0 + share * (x1 - x0), y1 + 2 + BAR), fill=COLOURS["masked"])
    for column, (kind, text) in enumerate(LEGEND.items()):
        left, top = 10 + column * SIZE // len(LEGEND), SIZE + 12
        pen.rectangle((left, top, left + 16, top + 16), fill=COLOURS[kind])
        pen.text((left + 24, top), text, fill="black", font_size=15)
    file = BytesIO()
    drawn.save(file, "PNG")
    return file.getvalue()


def segments_of(example: Example, chunk: Chunk) -> dict[Box, tuple[str, float]]:
    """Box of a segment -> what is predicted for its unmasked tokens, and the share of masked ones."""
    nothing = [IGNORED] * len(chunk.words)
    masked, aligned, moved = (example.labels.get(name, nothing) for name in (MLM, WPA, CPC))
    kinds: dict[Box, str] = {}
    hidden: dict[Box, list[bool]] = {}
    for place, box in enumerate(chunk.boxes):
        if chunk.words[place] == SPECIAL:
            continue
        hidden.setdefault(box, []).append(masked[place] != IGNORED)
        if moved[place] != IGNORED:
            kinds[box] = "cell"
        elif aligned[place] != IGNORED:
            kinds[box] = "unaligned" if aligned[place] == UNALIGNED else "aligned"
    return {box: (kinds.get(box, ""), sum(tokens) / len(tokens)) for box, tokens in hidden.items()}
