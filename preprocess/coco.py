"""DocLayNet as it was published: boxes in COCO's form, images, and the cells of text, in three folders.

    COCO/{train,val,test}.json   images: id, file_name, width, height, precedence, doc_category; annotations: image_id,
                                 category_id, bbox, precedence; categories: id, name      (DocLayNet_core.zip)
    PNG/<hash>.png                                                                         (DocLayNet_core.zip)
    JSON/<hash>.json             metadata, cells: text, bbox in pixels of the PNG         (DocLayNet_extra.zip)

Cells and boxes know nothing of each other: a cell belongs to the box that covers most of it.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from preprocess.blocks import Box, Cell
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.layout import Layout, Regions, layout_of, read_box, read_cell, read_name

FOLDERS = ("", "DocLayNet_core", "DocLayNet_extra")  # where the zips are unpacked: together, or each by itself
COVERED = 1 / 2  # of a cell, at least, by its box


def find_folder(path: Path, name: str) -> Path | None:
    """COCO/, JSON/ or PNG/ in a folder, in the one of its zip there, or in that beside it."""
    places = [path / inside / name for inside in FOLDERS]
    places += [path.parent / inside / name for inside in FOLDERS if inside and path.name in FOLDERS]
    return next((place for place in places if place.is_dir()), None)


def read_coco(path: Path, file: Path, flag: str) -> Iterator[tuple[Layout, Path]]:
    """The pages of a split, in the order of its file, each with its JSON file of cells.

    Of a page that was annotated several times the first annotation counts (precedence 0).

    Raises:
        InputError: The file, or that of a page, is missing or broken.
    """
    content = read_json(file, flag)
    annotations, categories = (listed(content, name, file) for name in ("annotations", "categories"))
    labels = {
        entry.get("id"): read_name(entry.get("name"), f"{file}: category {number}")
        for number, entry in enumerate(categories)
    }
    boxes: dict[Any, list[tuple[Box, int]]] = defaultdict(list)
    for number, entry in enumerate(annotations):
        where = f"{file}: annotation {number}"
        if entry.get("category_id") not in labels:
            known = ", ".join(map(str, labels))
            raise InputError(f"{where}: category_id {entry.get('category_id')!r}, expected one of {known}")
        if not entry.get("precedence"):
            boxes[entry.get("image_id")].append((read_box(entry.get("bbox"), where), labels[entry["category_id"]]))
    for image, page in listed_pages(content, path, file, flag):
        yield page_of(image, boxes[image.get("id")], page, flag), page


def read_coco_cells(path: Path, file: Path, flag: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """The pages of a split as rows of cells {form: [{text, box_line}], metadata}, no annotation looked at."""
    for image, page in listed_pages(read_json(file, flag), path, file, flag):
        cells, about = cells_of(image, page, flag)
        form = [{"text": cell.text, "box_line": list(cell.box)} for cell in cells]
        yield {"form": form, "metadata": about | {"page_hash": page.stem}}, page


def listed_pages(content: Any, path: Path, file: Path, flag: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """The images of a file of COCO, each with its file of cells, of a page that was annotated several times the first.

    Raises:
        InputError: There is no folder of cells; an entry that is none.
    """
    cells = find_folder(path, "JSON")
    if cells is None:
        raise InputError(
            f"{path}: no folder JSON with the text of the pages: unpack DocLayNet_extra.zip there too ({flag})"
        )
    for number, image in enumerate(listed(content, "images", file)):
        name = image.get("file_name")
        if not isinstance(name, str) or not Path(name).stem:
            raise InputError(f"{file}: image {number}: file_name {name!r}, expected the name of an image")
        if not image.get("precedence"):
            yield image, cells / f"{Path(name).stem}.json"


def listed(content: Any, name: str, file: Path) -> list[dict[str, Any]]:
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise InputError(f"{file}: expected COCO's form: an object with lists of images, annotations, categories")
    return found


def page_of(image: dict[str, Any], boxes: list[tuple[Box, int]], file: Path, flag: str) -> Layout:
    """A page of its boxes and of the cells in its file."""
    cells, about = cells_of(image, file, flag)
    return layout_of(assigned(boxes, cells), about, file.stem, str(file))


def cells_of(image: dict[str, Any], file: Path, flag: str) -> tuple[list[Cell], dict[str, Any]]:
    """The cells of a page, and what is told about it."""
    content = read_json(file, flag)
    found = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(cell, dict) for cell in found):
        raise InputError(f"{file}: expected an object with metadata and a list of cells with text and bbox")
    cells = [read_cell(cell.get("text"), cell.get("bbox"), f"{file}: cell {n}") for n, cell in enumerate(found)]
    about = content.get("metadata") if isinstance(content.get("metadata"), dict) else {}
    told = {"coco_width": "width", "coco_height": "height", "doc_category": "doc_category"}
    return cells, about | {key: image[name] for key, name in told.items() if image.get(name)}


def assigned(boxes: list[tuple[Box, int]], cells: list[Cell]) -> Regions:
    """The regions with their cells: a cell goes to the box that covers most of it, at least half; the smallest such."""
    regions: Regions = {key: [] for key in boxes}
    for cell in cells:
        shares = [(covered(cell.box, box), -box[2] * box[3], (box, label)) for box, label in regions]
        share, _, key = max(shares, key=lambda found: found[:2], default=(0.0, 0.0, None))
        if key is not None and share >= COVERED:
            regions[key].append(cell)
    return regions


def covered(cell: Box, box: Box) -> float:
    """The share of a cell that lies in a box; of a cell without area, along the sides that it has."""
    share = 1.0
    for axis in (0, 1):
        start, length = cell[axis], cell[axis + 2]
        inside = min(start + length, box[axis] + box[axis + 2]) - max(start, box[axis])
        share *= max(inside, 0) / length if length > 0 else float(inside >= 0)
    return share
