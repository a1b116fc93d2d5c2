"""Draws the images of the sample pages: each text in its box, pictures and tables with a frame.

    python samples/draw.py

writes samples/doclaynet/*/*.png next to the pages, samples/invoices/images/*.png of the export, and
samples/invoices/words/*.json, the words on them with the boxes of their ink, as from OCR. The same version of Pillow
writes the same bytes. Only Pillow's own font is used; missing characters are replaced by similar ones.
"""

import json
import sys
import unicodedata
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from PIL import Image, ImageDraw, ImageFont

from preprocess.blocks import LABEL_WORDS, Box, Cell, lines_of
from preprocess.files import write_bytes

ROOT = Path(__file__).resolve().parent.parent
SIDE = 512  # pixels of a page of DocLayNet, whose space is square
FINER = 4  # a page is drawn this many times larger, then reduced, so that letters of six pixels are legible
LEVELS = 16  # of grey, for smaller files
CONTRAST = 1.7  # thin strokes are pale when they are reduced
FILLED, BASELINE = 0.95, 0.78  # of the height of a box: no letter leaves it
BOLD = ("Title", "Section-header")
BOLD_FROM = 15.5  # pixels of height, on invoices
SHADES = {"Picture": (238, 215), "Table": (250, 232)}  # grey of the area and of its frame
ALIKE = str.maketrans("–—−∗×÷•▪€£≥†‡∞➀æΔαδηθλμπρστ", "---*x:**EL>++81aAaonOAunpot")


class Sheet:
    """A white page on which boxes are in units of the page's own.

    Args:
        size: Of the image, in pixels.
        space: Width and height of the page in the units of the boxes.
    """

    def __init__(self, size: tuple[int, int], space: tuple[float, float]) -> None:
        self.image = Image.new("L", (size[0] * FINER, size[1] * FINER), 255)
        self.draw = ImageDraw.Draw(self.image)
        self.words: list[dict[str, Any]] = []  # in pixels of the image that is written
        self.factors = self.image.width / space[0], self.image.height / space[1]

    def scaled(self, box: Box) -> Box:
        across, down = self.factors
        return box[0] * across, box[1] * down, box[2] * across, box[3] * down

    def write(self, text: str, box: Box, bold: bool = False) -> None:
        """A line of text as large as its box (x, y, width, height) lets it be."""
        drawn = plain(text)
        if not drawn:
            return
        x, y, width, height = self.scaled(box)
        size = FILLED * min(height, width * 100 / ImageFont.load_default(100).getlength(drawn))
        font, stroke = ImageFont.load_default(size), size / 40 if bold else 0
        self.draw.text((x, y + BASELINE * height), drawn, 0, font, "ls", stroke_width=stroke)
        before = ""
        for word in text.split():
            at = (x + font.getlength(plain(before)), y + BASELINE * height)
            ink = self.draw.textbbox(at, plain(word), font, "ls", stroke_width=stroke)
            self.words.append({"text": word, "box": [round(value / FINER) for value in ink]})
            before += f"{word} "

    def fill(self, box: Box, grey: int, frame: int | None = None) -> None:
        x, y, width, height = self.scaled(box)
        self.draw.rectangle((x, y, x + width - 1, y + height - 1), grey, frame, FINER)

    def png(self) -> bytes:
        """The page at its size, in few shades of grey."""
        step = 255 // (LEVELS - 1)
        darkened = [max(0, 255 - CONTRAST * (255 - grey)) for grey in range(256)]
        small = self.image.reduce(FINER).point([round(grey / step) * step for grey in darkened])
        file = BytesIO()
        small.save(file, "PNG", optimize=True)
        return file.getvalue()


def plain(text: str) -> str:
    """Text in the letters that the font has."""
    text = unicodedata.normalize("NFKD", text.strip().translate(ALIKE))
    return "".join(letter for letter in text if not unicodedata.combining(letter))


def draw_page(page: dict[str, Any]) -> bytes:
    """The image of a row of DocLayNet in pierreguillou's form."""
    sheet = Sheet((SIDE, SIDE), (page["coco_width"], page["coco_height"]))
    names = [LABEL_WORDS[category] for category in page["categories"]]
    for box, name in dict.fromkeys(zip(map(tuple, page["bboxes_block"]), names, strict=True)):
        if name in SHADES:
            sheet.fill(box, *SHADES[name])
    for text, box, name in zip(page["texts"], page["bboxes_line"], names, strict=True):
        sheet.write(text, box, name in BOLD)
    return sheet.png()


def draw_task(task: dict[str, Any]) -> Sheet:
    """The page of a task of Label Studio: the texts of its regions, over the areas and lines in its entry `rules`.

    Rules are [x, y, width, height, grey] in percent; Label Studio ignores this entry.
    """
    results = task["annotations"][0]["result"]
    size = results[0]["original_width"], results[0]["original_height"]
    sheet = Sheet(size, (100, 100))
    for *box, grey in task["data"]["rules"]:
        sheet.fill(box, round(2.55 * grey))
    for value in [result["value"] for result in results if result["type"] == "textarea"]:
        box = [value[key] for key in ("x", "y", "width", "height")]
        sheet.write(value["text"][0], box, value["height"] / 100 * size[1] > BOLD_FROM)
    return sheet


def in_lines(words: list[dict[str, Any]]) -> bytes:
    """The words of a page in a JSON file, a line each, in the order of reading."""
    boxes = [word["box"] for word in words]
    cells = [Cell(str(number), (x0, y0, x1 - x0, y1 - y0)) for number, (x0, y0, x1, y1) in enumerate(boxes)]
    ordered = [words[int(cell.text)] for line in lines_of(cells) for cell in line]
    return ("[\n" + ",\n".join(json.dumps(word, ensure_ascii=False) for word in ordered) + "\n]\n").encode()


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def images() -> Iterator[tuple[Path, bytes]]:
    """The path of each image, from the root of the project, and its file; after an invoice the file of its words."""
    for file in sorted((ROOT / "samples/doclaynet").glob("*/*.json")):
        yield file.relative_to(ROOT).with_suffix(".png"), draw_page(load(file))
    for task in load(ROOT / "samples/invoices/export.json"):
        path = Path("samples/invoices/images", task["data"]["image"].rsplit("/", 1)[-1].partition("-")[2])
        sheet = draw_task(task)
        yield path, sheet.png()
        yield Path("samples/invoices/words", f"{path.stem}.json"), in_lines(sheet.words)


if __name__ == "__main__":
    for path, content in images():
        write_bytes(ROOT / path, content)
