"""DocLayNet as published, in three folders: boxes in COCO's format, images, and text cells.

    COCO/{train,val,test}.json   images: id, file_name, width, height, precedence, doc_category; annotations: image_id,
                                 category_id, bbox, precedence; categories: id, name      (DocLayNet_core.zip)
    PNG/<hash>.png                                                                         (DocLayNet_core.zip)
    JSON/<hash>.json             metadata, cells: text, bbox in pixels of the PNG         (DocLayNet_extra.zip)

Cells are not linked to boxes: a cell belongs to the box that covers most of it.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from preprocess.blocks import Box, Cell
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.layout import Layout, Regions, layout_of, read_box, read_cell, read_name

FOLDERS = ("", "DocLayNet_core", "DocLayNet_extra")  # the zips are unpacked together, or each in its own folder
COVERED = 1 / 2  # minimum part of a cell that its box covers


def find_folder(path: Path, name: str) -> Path | None:
    """COCO/, JSON/ or PNG/: in the folder, in the subfolder of its zip, or in the sibling folder of its zip."""
    places = [path / inside / name for inside in FOLDERS]
    places += [path.parent / inside / name for inside in FOLDERS if inside and path.name in FOLDERS]
    return next((place for place in places if place.is_dir()), None)


def read_coco(path: Path, file: Path, flag: str) -> Iterator[tuple[Layout, Path]]:
    """The pages of a split, in the order of its file, each with the path of its JSON file.

    If a page was annotated several times, the first annotation is used (precedence 0).

    Raises:
        InputError: The file, or that of a page, is missing or invalid.
    """
    content = read_json(file, flag)
    annotations, categories = (read_objects(content, name, file) for name in ("annotations", "categories"))
    labels = {
        entry.get("id"): read_name(entry.get("name"), f"{file}: category {number}")
        for number, entry in enumerate(categories)
    }
    boxes: dict[Any, list[tuple[Box, int]]] = defaultdict(list)
    for number, entry in enumerate(annotations):
        where = f"{file}: annotation {number}"
        if entry.get("category_id") not in labels:
            valid = ", ".join(map(str, labels))
            raise InputError(f"{where}: category_id {entry.get('category_id')!r}, expected one of {valid}")
        if not entry.get("precedence"):
            boxes[entry.get("image_id")].append((read_box(entry.get("bbox"), where), labels[entry["category_id"]]))
    for image, page in listed_pages(content, path, file, flag):
        yield page_of(image, boxes[image.get("id")], page, flag), page


def read_coco_cells(path: Path, file: Path, flag: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """The pages of a split as rows {form: [{text, box_line}], metadata}; annotations are not read."""
    for image, page in listed_pages(read_json(file, flag), path, file, flag):
        cells, about = cells_of(image, page, flag)
        form = [{"text": cell.text, "box_line": list(cell.box)} for cell in cells]
        yield {"form": form, "metadata": about | {"page_hash": page.stem}}, page


def listed_pages(content: Any, path: Path, file: Path, flag: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """The images of a COCO file, each with its JSON file of cells. Of repeated annotations the first is used.

    Raises:
        InputError: The folder of cells is missing, or an entry is invalid.
    """
    cells = find_folder(path, "JSON")
    if cells is None:
        raise InputError(f"{path}: no folder JSON with the text of the pages: also unpack DocLayNet_extra.zip ({flag})")
    for number, image in enumerate(read_objects(content, "images", file)):
        name = image.get("file_name")
        if not isinstance(name, str) or not Path(name).stem:
            raise InputError(f"{file}: image {number}: file_name {name!r}, expected an image name")
        if not image.get("precedence"):
            yield image, cells / f"{Path(name).stem}.json"


def read_objects(content: Any, name: str, file: Path) -> list[dict[str, Any]]:
    """The list called `name` of a COCO file; InputError if it is not a list of objects."""
    objects = content.get(name) if isinstance(content, dict) else None
    if not isinstance(objects, list) or not all(isinstance(entry, dict) for entry in objects):
        raise InputError(f"{file}: expected COCO's format: an object with lists of images, annotations, categories")
    return objects


def page_of(image: dict[str, Any], boxes: list[tuple[Box, int]], file: Path, flag: str) -> Layout:
    """A page from its boxes and the cells in its file."""
    cells, about = cells_of(image, file, flag)
    return layout_of(assign_cells(boxes, cells), about, file.stem, str(file))


def cells_of(image: dict[str, Any], file: Path, flag: str) -> tuple[list[Cell], dict[str, Any]]:
    """The cells of a page, and its metadata."""
    content = read_json(file, flag)
    entries = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(cell, dict) for cell in entries):
        raise InputError(f"{file}: expected an object with metadata and a list of cells with text and bbox")
    cells = [read_cell(cell.get("text"), cell.get("bbox"), f"{file}: cell {n}") for n, cell in enumerate(entries)]
    about = content.get("metadata") if isinstance(content.get("metadata"), dict) else {}
    keys = {"coco_width": "width", "coco_height": "height", "doc_category": "doc_category"}
    return cells, about | {key: image[name] for key, name in keys.items() if image.get(name)}


def assign_cells(boxes: list[tuple[Box, int]], cells: list[Cell]) -> Regions:
    """The regions with their cells. A cell goes to the box that covers most of it, at least half; ties go to the
    smallest."""
    regions: Regions = {key: [] for key in boxes}
    for cell in cells:
        shares = [(covered(cell.box, box), -box[2] * box[3], (box, label)) for box, label in regions]
        share, _, key = max(shares, key=lambda entry: entry[:2], default=(0.0, 0.0, None))
        if key is not None and share >= COVERED:
            regions[key].append(cell)
    return regions


def covered(cell: Box, box: Box) -> float:
    """The fraction of a cell's area inside a box; for a cell without area, of its nonzero sides."""
    share = 1.0
    for axis in (0, 1):
        start, length = cell[axis], cell[axis + 2]
        inside = min(start + length, box[axis] + box[axis + 2]) - max(start, box[axis])
        share *= max(inside, 0) / length if length > 0 else float(inside >= 0)
    return share
