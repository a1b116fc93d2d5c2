"""Boxes with labels, drawn on the image of a page."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from PIL import ImageDraw
from PIL.Image import Image


def drawn(image: Image, rows: Sequence[dict[str, Any]]) -> bytes:
    """A PNG of the image with the box and label of each labelled word, in one colour per label."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    labels = sorted({row["label"] for row in rows if row["label"] is not None})
    for row in rows:
        if row["label"] is not None:
            colour = f"hsl({360 * labels.index(row['label']) // len(labels)}, 90%, 35%)"
            draw.rectangle(row["box"], outline=colour, width=2)
            draw.text(row["box"][:2], row["label"], fill=colour, anchor="lb", font_size=max(10, image.height // 80))
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
