"""Reads the pages of DocLayNet and DocBank from folders, zips and the hub: blocks and, if requested, images."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from preprocess.blocks import Block, Page
from preprocess.cells import row_cells
from preprocess.coco import find_folder, read_coco, read_coco_cells
from preprocess.docbank import image_stems, read_cells, read_page, token_files
from preprocess.errors import InputError, first_line
from preprocess.files import read_json
from preprocess.layout import row_blocks
from preprocess.sources import load_rows
from preprocess.units import PIXELS, THOUSANDTHS, Unit, unit_of

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
ALSO_CALLED = dict.fromkeys(("validation", "val", "dev", "valid"), ("validation", "val", "dev", "valid"))
SPLITS = ("train", "test", *ALSO_CALLED)
SIZES = ("small", "base", "large")
HUB = "pierreguillou/DocLayNet-"  # a zip for each size; its loading script is no longer supported by `datasets`
HUB_SIZE = re.compile(re.escape(HUB) + rf"({'|'.join(SIZES)})")


def dataset_of_size(size: str, dataset_path: str) -> str:
    """The hub id for a `--dataset_size`; `dataset_path` if it is unset.

    Raises:
        InputError: No such size, or both are given.
    """
    if size and size not in SIZES:
        raise InputError(f"--dataset_size {size}: expected {', '.join(SIZES)}")
    if size and dataset_path:
        raise InputError(f"--dataset_size {size}: cannot be combined with --dataset_path (it means {HUB}{size})")
    return f"{HUB}{size}" if size else dataset_path


@dataclass(frozen=True)
class Reading:
    """How pages are read.

    Args:
        images: Whether to read the image of each page.
        unit: Unit of the boxes; None: the usual one, not checked.
        labelled: Whether to read regions with classes; otherwise words or text cells without classes.
    """

    images: bool
    unit: Unit | None = None
    labelled: bool = True

    def blocks(self, row: Any, place: str) -> list[Block]:
        """The blocks of a row in any format."""
        return (row_blocks if self.labelled else row_cells)(row, place, self.unit)


def read_pages(
    dataset_path: str,
    split: str,
    flag: str = "--dataset_path",
    images: bool = False,
    box_unit: str = "",
    labelled: bool = True,
) -> Iterator[Page] | None:
    """The pages of a split, one by one; None if there is no such split.

    Subfolders named after splits are the splits. Without them, all pages of a folder belong to `test`.

    Args:
        images: Whether to read the image of each page.
        box_unit: Unit of the boxes; default pixels, for DocBank 0..1000.
        labelled: See `Reading`.

    Raises:
        InputError: A page is invalid, or its image is missing.
    """
    path, how = Path(dataset_path), Reading(images, unit_of(box_unit, PIXELS), labelled)
    if path.suffix.lower() == ".zip" and path.is_file():
        return zipped_pages([path], split, flag, how)
    if path.is_dir():
        tokens = docbank_files(dataset_path, split)
        if tokens is not None:
            how = replace(how, unit=unit_of(box_unit, THOUSANDTHS))
            return (docbank_page(file, how) for file in tokens) if tokens else None
        coco = find_folder(path, "COCO")
        if coco is not None:
            file = next((coco / f"{name}.json" for name in names_of(split) if (coco / f"{name}.json").is_file()), None)
            return None if file is None else coco_pages(path, file, flag, how)
        folders = page_folders(path)
        files = next((folders[name] for name in names_of(split) if name in folders), [])
        if files:
            return (json_page(file, flag, how) for file in files)
        if folders:
            return None
    if not path.exists() and HUB_SIZE.fullmatch(dataset_path):
        return zipped_pages(hub_zips(dataset_path, flag), split, flag, how)
    rows = load_rows(dataset_path, split, flag, images=images)
    return None if rows is None else pages_of_rows(rows, f"{dataset_path}: {split}", how)


def names_of(split: str) -> tuple[str, ...]:
    """Possible names of a split, `split` first."""
    return tuple(dict.fromkeys((split, *ALSO_CALLED.get(split, ()))))


def page_folders(path: Path) -> dict[str, list[Path]]:
    """Split -> its JSON files: in the folder of its name, in annotations/ there, or, for test, in `path` itself."""
    roots = [path, *sorted(folder for folder in path.glob("*_dataset") if folder.is_dir())]  # as the zips unpack
    for root in roots:
        folders = {name: root / name for name in SPLITS if (root / name).is_dir()}
        if folders:
            files = {name: [*at.glob("annotations/*.json")] or [*at.glob("*.json")] for name, at in folders.items()}
            return {name: sorted(pages) for name, pages in files.items() if pages}
    files = sorted(path.glob("*.json"))
    return {"test": files} if files else {}


def docbank_files(dataset_path: str, split: str = "test") -> list[Path] | None:
    """The pages of a split of DocBank; empty if there is no such split, None if the folder is not DocBank's.

    The splits are subfolders, or listed in files; otherwise all pages belong to `test`.
    """
    path = Path(dataset_path)
    if not dataset_path or not path.is_dir():
        return None
    inside = {name: files for name in SPLITS if (files := token_files(path / name, ["test"]))}
    if inside:
        return next((inside[name] for name in names_of(split) if name in inside), [])
    return token_files(path, names_of(split))


def docbank_page(file: Path, how: Reading) -> Page:
    """A page of DocBank, with its image if requested."""
    blocks = (read_page if how.labelled else read_cells)(file, how.unit)
    return Page(blocks, find_image(file, image_stems(file)) if how.images else None, str(file))


def coco_pages(path: Path, file: Path, flag: str, how: Reading) -> Iterator[Page]:
    """The pages of a split in DocLayNet's published format."""
    folder = find_folder(path, "PNG") or path / "PNG"
    read = read_coco if how.labelled else read_coco_cells
    for found, page in read(path, file, flag):
        blocks = found.blocks(how.unit) if how.labelled else how.blocks(found, str(page))
        yield Page(blocks, find_image(page, [folder / page.stem]) if how.images else None, str(page))


def json_page(file: Path, flag: str, how: Reading) -> Page:
    """A page in a JSON file. Its image is in the same folder, in images/ or png/ there, or in images/ next to
    annotations/."""
    folders = [file.parent, file.parent / "images", file.parent / "png"]
    if file.parent.name == "annotations":
        folders.insert(0, file.parent.parent / "images")
    image = find_image(file, [folder / file.stem for folder in folders]) if how.images else None
    return Page(how.blocks(read_json(file, flag), str(file)), image, str(file))


def find_image(page: Path, names: Sequence[Path]) -> Path:
    """The image of a page: the first of `names` that exists with an image extension, ignoring its case.

    Raises:
        InputError: There is none.
    """
    for name in names:
        for ending in (*IMAGE_ENDINGS, *map(str.upper, IMAGE_ENDINGS)):
            path = name.with_name(name.name + ending)  # a name may contain dots
            if path.is_file():
                return path
    for name in names:  # other spellings, such as .Jpg, last: listing a large folder is slow
        paths = name.parent.glob(f"{escaped(name.name)}.*") if name.parent.is_dir() else ()
        images = [path for path in paths if path.stem == name.name and path.suffix.lower() in IMAGE_ENDINGS]
        if images:
            return min(images)
    searched = ", ".join(map(str, names))
    raise InputError(f"{page}: no image of this page: no {searched} with {', '.join(IMAGE_ENDINGS)}")


def escaped(name: str) -> str:
    """A name escaped for glob."""
    return re.sub(r"([*?[])", r"[\1]", name)


def pages_of_rows(rows: Iterable[dict[str, Any]], place: str, how: Reading) -> Iterator[Page]:
    """The pages in rows of any format."""
    for number, row in enumerate(rows):
        where = f"{place} row {number}"
        yield Page(how.blocks(row, where), row_image(row, where) if how.images else None, where)


def row_image(row: dict[str, Any], place: str) -> Any:
    """The image in a row; InputError if it is missing."""
    if row.get("image") is None:
        raise InputError(f"{place}: no image of this page: the column image is missing or empty")
    return row["image"]


def hub_zips(dataset_path: str, flag: str) -> list[Path]:
    """The zips of a data set on the hub, in the user's cache.

    Raises:
        InputError: They cannot be downloaded.
    """
    from huggingface_hub import snapshot_download  # takes a second to import

    try:
        folder = snapshot_download(dataset_path, repo_type="dataset", allow_patterns="data/*.zip")
    except Exception as error:  # network errors have many types
        raise InputError(f"{dataset_path}: no such folder; on the hub: {first_line(error)} ({flag})") from None
    zips = sorted(Path(folder).glob("data/*.zip"))
    if not zips:
        raise InputError(f"{dataset_path}: no zip of pages on the hub ({flag})")
    return zips


def zipped_pages(files: Sequence[Path], split: str, flag: str, how: Reading) -> Iterator[Page] | None:
    """The pages in {train,val,test}/annotations of zips, at any depth; None if there are none.

    Raises:
        InputError: A file is not a zip.
    """
    parts = [(file, members) for file in files if (members := zipped_members(file, split, flag))]
    return (page for file, members in parts for page in read_zip(file, members, flag, how)) if parts else None


def zipped_members(file: Path, split: str, flag: str) -> list[str]:
    """The JSON files of a split in a zip, sorted by name."""
    try:
        with ZipFile(file) as opened:
            members = [name for name in opened.namelist() if not name.startswith("__MACOSX/")]
    except (BadZipFile, OSError) as error:
        raise InputError(f"{file}: not a zip: {first_line(error)} ({flag})") from None
    for name in names_of(split):
        pattern = re.compile(rf"(.*/)?{re.escape(name)}/annotations/[^/]+\.json")
        pages = sorted(member for member in members if pattern.fullmatch(member))
        if pages:
            return pages
    return []


def read_zip(file: Path, members: Sequence[str], flag: str, how: Reading) -> Iterator[Page]:
    """The pages in `members` of a zip."""
    with ZipFile(file) as opened:
        for member in members:
            place = f"{file}: {member}"
            try:
                row = json.loads(opened.read(member).decode("utf-8-sig"))
                image = zipped_image(opened, member, place) if how.images else None
            except (ValueError, RecursionError, BadZipFile) as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(f"{place}: cannot be read: {first_line(error)} ({flag})") from None
            yield Page(how.blocks(row, place), image, place)


def zipped_image(opened: ZipFile, member: str, place: str) -> dict[str, Any]:
    """The image of the page in `member`; InputError if it is missing."""
    folder, _, name = member.rpartition("/annotations/")
    stem = f"{folder}/images/{name.removesuffix('.json')}"
    for ending in (*IMAGE_ENDINGS, *map(str.upper, IMAGE_ENDINGS)):
        if stem + ending in opened.NameToInfo:
            return {"bytes": opened.read(stem + ending), "path": None}
    raise InputError(f"{place}: no image of this page: no {stem} with {', '.join(IMAGE_ENDINGS)}")
