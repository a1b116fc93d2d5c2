"""DocBank (Li et al. 2020): pages of labelled tokens, read as blocks with DocLayNet's labels.

Each page is a file, each token a line:

token, x0, y0, x1, y1 (0-1000), R, G, B, font, label, separated by tabs, in reading order.

    txt/*.txt, ori_jpg/*_ori.jpg                              the samples
    DocBank_500K_txt/*.txt, DocBank_500K_ori_img/*_ori.jpg    the whole data set, and the lists of its splits:
    MSCOCO_Format_Annotation/500K_{train,valid,test}.json
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from statistics import median

from preprocess.blocks import Block, Cell, page_blocks
from preprocess.cells import placed
from preprocess.errors import InputError
from preprocess.files import read_json
from preprocess.layout import corners
from preprocess.units import PIXELS, THOUSANDTHS, Unit, check_boxes

LABEL_WORDS = {
    "caption": "Caption",
    "equation": "Formula",
    "list": "List-item",
    "footer": "Page-footer",
    "figure": "Picture",
    "section": "Section-header",
    "table": "Table",
    "title": "Title",
    "abstract": "Text",
    "author": "Text",
    "date": "Text",
    "paragraph": "Text",
    "reference": "Text",
}
FIGURE = "##LTFigure##"  # the token of a picture, which has no text
RULES = ("##LTLine##", "##LTRect##", "##LTCurve##")  # tokens of strokes, which belong to no block
MAX_GAP = 1.5  # maximum gap between two lines of a block, in median line heights
NUMBER = re.compile(r"-?[0-9]{1,9}")
ORIGINAL = "_ori"  # end of an image's name
INDEX_FOLDERS = ("", "MSCOCO_Format_Annotation", "indexed_files")


def read_tokens(path: Path, labelled: bool = True) -> list[tuple[Cell, str]]:
    """The tokens of a page, each with its DocBank label; strokes are dropped. Boxes may extend beyond the page.

    Args:
        labelled: Whether to read the labels; without, they are empty.

    Raises:
        InputError: An invalid line; the message names file and line.
    """
    tokens = []
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            columns = line.rstrip("\r\n").split("\t")
            if (
                len(columns) < (10 if labelled else 5)
                or len(columns) > 10
                or not all(map(NUMBER.fullmatch, columns[1:5]))
            ):
                raise InputError(f"{path}: line {number}: expected token, four numbers, R, G, B, font and label")
            if labelled and columns[9] not in LABEL_WORDS:
                raise InputError(
                    f"{path}: line {number}: label {columns[9]!r}, expected one of {', '.join(LABEL_WORDS)}"
                )
            if columns[0] in RULES:
                continue
            x0, y0, x1, y1 = map(int, columns[1:5])
            text = "" if columns[0] == FIGURE else columns[0]
            tokens.append((Cell(text, (x0, y0, x1 - x0, y1 - y0)), columns[9] if labelled else ""))
    return tokens


def split_run(cells: list[Cell]) -> Iterator[list[Cell]]:
    """Split a run of tokens with the same label into blocks: at gaps of more than 1.5 line heights, and if y jumps
    up."""
    height = median(cell.box[3] for cell in cells)
    block: list[Cell] = []
    top = bottom = 0.0  # of the current line
    for cell in cells:
        y0, y1 = cell.box[1], cell.box[1] + cell.box[3]
        if block and (y0 - bottom > MAX_GAP * height or y1 < top):
            yield block
            block = []
        if not block or y0 >= bottom:  # the first token of a line
            top, bottom = y0, y1
        else:
            bottom = max(bottom, y1)
        block.append(cell)
    yield block


def read_page(path: Path, unit: Unit | None = None) -> list[Block]:
    """The blocks of one page, which has the name of its file.

    Args:
        unit: Unit of the boxes, which are checked against it; None: 0..1000, not checked.

    Raises:
        InputError: As for `read_tokens`; or the boxes are in another unit.
    """
    regions, tokens, unit = [], read_tokens(path), unit_of_page(path, unit)
    size = unit.size((1000, 1000))
    check_boxes([corners(cell.box) for cell, _ in tokens], unit, None, str(path))
    for label, run in groupby(tokens, key=lambda token: token[1]):
        for cells in split_run([cell for cell, _ in run]):
            x0, y0 = min(cell.box[0] for cell in cells), min(cell.box[1] for cell in cells)
            x1 = max(cell.box[0] + cell.box[2] for cell in cells)
            y1 = max(cell.box[1] + cell.box[3] for cell in cells)
            regions.append(((x0, y0, x1 - x0, y1 - y0), LABEL_WORDS[label], cells))
    return page_blocks(regions, path.stem, "scientific_articles", size)


def unit_of_page(path: Path, unit: Unit | None) -> Unit:
    """The declared unit of the boxes of a page; default 0..1000, unchecked."""
    if unit is not None and unit.name == PIXELS:
        raise InputError(f"{path}: {unit.flag} {PIXELS}: DocBank's files do not contain the page size")
    return unit or Unit(THOUSANDTHS, declared=True)


def read_cells(path: Path, unit: Unit | None = None) -> list[Block]:
    """The tokens of a page as blocks without a class, in reading order; labels are not read.

    Raises:
        InputError: As for `read_page`.
    """
    cells = [cell for cell, _ in read_tokens(path, labelled=False)]
    return placed(cells, path.stem, (1000, 1000), str(path), unit_of_page(path, unit))


def token_files(folder: Path, names: Sequence[str]) -> list[Path] | None:
    """The pages of a split, sorted by name in the C locale; None if the folder is not DocBank's.

    Without files that list the splits, all pages belong to `test`.

    Args:
        names: Possible names of the split.
    """
    inside = tokens_folder(folder)
    if inside == folder and any(folder.glob("*.json")):  # pages in another format, with a licence as text
        return None
    files = page_files(folder)
    if not files:
        return None
    indexes = split_indexes(folder) or split_indexes(folder.parent)
    if not indexes:
        return files if "test" in names else []
    index = next((indexes[name] for name in names if name in indexes), None)
    listed = set() if index is None else read_index(index)
    return [file for file in files if file.stem in listed]


def page_files(folder: Path) -> list[Path]:
    """All token files of a DocBank folder, sorted by name in the C locale."""
    return sorted(tokens_folder(folder).glob("*.txt"), key=lambda path: path.name.encode())


def tokens_folder(folder: Path) -> Path:
    """The folder of the token files of a DocBank folder: txt/, ..._txt/, or else the folder itself."""
    named = [folder / "txt", *sorted(folder.glob("*_txt"))]
    for tokens in (path for path in named if path.is_dir()):
        return tokens / tokens.name if (tokens / tokens.name).is_dir() else tokens  # unpacked into a folder of its name
    return folder


def split_indexes(folder: Path) -> dict[str, Path]:
    """Name of a split -> the file in COCO's format that lists its pages."""
    paths = [path for name in INDEX_FOLDERS for path in sorted((folder / name).glob("*K_*.json"))]
    return {path.stem.rpartition("_")[2]: path for path in reversed(paths)}


@lru_cache(maxsize=8)
def read_index(path: Path) -> frozenset[str]:
    """The names of the pages that a file in COCO's format lists."""
    content = read_json(path, "--dataset_path")
    images = content.get("images") if isinstance(content, dict) else None
    names = [image.get("file_name") for image in images or [] if isinstance(image, dict)]
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: expected COCO's format: a list of images with file_name (--dataset_path)")
    return frozenset(Path(name).stem.removesuffix(ORIGINAL) for name in names)


def image_stems(file: Path) -> list[Path]:
    """Possible paths of a page's image, without file extension."""
    near = [folder / f"{file.stem}{ORIGINAL}" for folder in image_folders(file.parent)]
    return [*near, file.parent / file.stem, file.parent / f"{file.stem}{ORIGINAL}"]


@lru_cache(maxsize=8)
def image_folders(tokens: Path) -> tuple[Path, ...]:
    """The image folders next to the folder of the tokens, or next to its parent if that has the same name."""
    root = tokens.parent.parent if tokens.parent.name == tokens.name else tokens.parent
    named = [root / "ori_jpg", *sorted(root.glob("*ori_img"))]
    return tuple(inside if (inside := path / path.name).is_dir() else path for path in named if path.is_dir())
