"""Annotated document images -> a data set with train and test split: texts, boxes, classes, the page's image."""

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import PIL.Image
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value
from tqdm import tqdm

from documents.image_names import find_image
from documents.images import decoded, is_turned, open_image
from finetune.annotations.label_studio import Notes
from finetune.annotations.labelled_pages import NO_TEXT, ExportReading, LabelledPage, read_pages
from finetune.hub import check_push, repository
from preprocess.errors import InputError
from preprocess.files import (
    PathFlag,
    check_writable,
    names_full_disk,
    read_json,
    remove_leftovers,
    scratch_folder,
    write_json,
)
from preprocess.units import PERCENT, check_unit, unit_of

RECORD = "made_from.json"  # in the folder: the inputs and options that determine the data set
LABELS = "InvNum,InvDate,Fourni,TTC,TVA,TT,Autre"


@dataclass(frozen=True)
class AnnotationsConfig:
    """Turn annotated images into a data set with a train and a test split.

    Args:
        annotations: Label Studio's export "JSON" or "JSON-MIN", or a list of {file_name, height, width, annotations}.
        images: Folder of the images; default that of --annotations.
        words: Folder of words from OCR, a JSON list of {text, box} for each image; regions without a text get the words
            inside them.
        words_unit: Unit of the words' boxes: pixels, percent, 0..1000 or 0..1; default pixels.
        box_unit: Unit of the regions' boxes; default percent, as in Label Studio.
        annotator: Annotator to use if several annotations of an image differ: an id or an e-mail address.
        predictions: Use a model's predictions for images without annotation.
        labels: Comma-separated class names; a numeric label is an index into them, from 0.
        unlabelled: Class of regions without a label; by default they are left out.
        output_dir: Output folder.
        test_size: Fraction of the pages in the test split; 0 puts all into train.
        shuffle: Draw the test pages at random; with --shuffle=False they are the last pages.
        seed: Random seed of the draw.
        overwrite: Replace the data set in --output_dir.
        push_to_hub: Also upload the data set to the hub, as USER/NAME.
        private: Upload to a private repository.
    """

    annotations: PathFlag = ""
    images: PathFlag = ""
    words: PathFlag = ""
    words_unit: str = ""
    box_unit: str = ""
    annotator: str = ""
    predictions: bool = False
    labels: str = LABELS
    unlabelled: str = ""
    output_dir: PathFlag = ""
    test_size: float = 0.07
    shuffle: bool = True
    seed: int = 10
    overwrite: bool = False
    push_to_hub: str = ""
    private: bool = False

    def __post_init__(self) -> None:
        if len(self.names) < 2 or not all(self.names) or len(set(self.names)) < len(self.names):
            raise InputError(f"--labels {self.labels}: expected at least two distinct, non-empty names")
        if self.unlabelled and self.unlabelled not in self.names:
            raise InputError(f"--unlabelled {self.unlabelled}: expected one of {', '.join(self.names)}")
        if not 0 <= self.test_size < 1:
            raise InputError(f"--test_size {self.test_size}: expected 0 or more, less than 1")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}: expected 0 or more")
        check_push(self.push_to_hub, self.private)
        check_unit(self.box_unit)
        check_unit(self.words_unit, "--words_unit")
        if self.words_unit and not self.words:
            raise InputError(f"--words_unit {self.words_unit}: expected --words, the folder of the words")

    @property
    def images_folder(self) -> Path:
        """The folder of the images."""
        return Path(self.images) if self.images else Path(self.annotations).parent

    def reading(self) -> ExportReading:
        """How the export is read."""
        return ExportReading(
            self.names,
            self.unlabelled,
            self.images_folder,
            Path(self.words) if self.words else None,
            self.words_unit,
            unit_of(self.box_unit, PERCENT),
            self.annotator,
            self.predictions,
        )

    @property
    def names(self) -> list[str]:
        """The names of the classes."""
        return [name.strip() for name in self.labels.split(",")]


@names_full_disk
def preprocess_annotations(config: AnnotationsConfig) -> None:
    """Convert annotated images to a data set, and upload it if requested."""
    for flag, expected in (("annotations", "the file to read"), ("output_dir", "the folder to write")):
        if not getattr(config, flag):
            raise InputError(f"--{flag}: expected {expected}")
    folder = Path(config.output_dir).resolve()
    check_output(folder, config.overwrite)
    if config.words and not Path(config.words).is_dir():
        raise InputError(f"{config.words}: no such folder (--words)")
    reading = config.reading()
    try:
        report = make_dataset(config, reading, folder)
    except InputError:
        print("\n".join(noted(reading.notes)), end="\n" if reading.notes else "")
        raise
    print(report)
    if config.push_to_hub:
        push(folder, config.push_to_hub, config.private)


def make_dataset(config: AnnotationsConfig, reading: ExportReading, folder: Path) -> str:
    """Read the export and the images, split them, and write the data set, unless it exists. Returns a summary.

    Raises:
        InputError: The export or an image is invalid, or `folder` contains another data set, without `--overwrite`.
    """
    pages = read_pages(config.annotations, reading)
    if config.test_size and math.ceil(config.test_size * len(pages)) >= len(pages):
        raise InputError(f"--test_size {config.test_size}: leaves no train page of {len(pages)} pages with regions")
    images = find_images(config, pages)
    record = record_of(config, pages, list(images.values()))
    if (folder / RECORD).is_file() and not config.overwrite:
        if read_json(folder / RECORD, "--output_dir") != record:
            raise InputError(f"{folder}: contains another data set; --overwrite replaces it (--output_dir)")
        remove_leftovers(folder)
        return f"{folder}: already finished with the same inputs and options; --overwrite repeats it"
    datasets.disable_progress_bars()
    with scratch_folder(folder) as scratch:
        files = rgb_files(pages, list(images.values()), scratch, reading.notes)
        splits = split(to_dataset(pages, list(images), files, config.names), config)
        splits.save_to_disk(scratch / "dataset")
        write_json(scratch / "dataset" / RECORD, record)
        if folder.exists():
            os.replace(folder, scratch / "replaced")
        os.replace(scratch / "dataset", folder)
    return summary(config, splits, reading.notes)


def record_of(config: AnnotationsConfig, pages: Sequence[LabelledPage], images: Sequence[Path]) -> dict[str, Any]:
    """The inputs and options that determine a data set."""
    options = {flag: getattr(config, flag) for flag in ("labels", "test_size", "shuffle", "seed")}
    read = [(page.file_name, page.size, page.tokens, page.bboxes, page.ner_tags) for page in pages]
    content = json.dumps(read).encode()
    return (
        options
        | {"pages_sha256": hashlib.sha256(content).hexdigest()}
        | {"images_sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in images]}
    )


def check_output(folder: Path, overwrite: bool) -> None:
    """Check that `folder` can be written later.

    Raises:
        InputError: It cannot be written, or contains files that must not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, expected a folder (--output_dir)")
    existing = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if existing - {"dataset_dict.json", "train", "test", RECORD}:
        raise InputError(f"{folder}: contains files other than a data set; choose another folder (--output_dir)")
    if existing and RECORD not in existing and not overwrite:
        raise InputError(f"{folder}: already contains a data set; --overwrite replaces it (--output_dir)")
    check_writable(folder.with_name(f".{folder.name}"), "--output_dir")


def find_images(config: AnnotationsConfig, pages: Sequence[LabelledPage]) -> dict[str, Path]:
    """The image of each page, by its path in the folder of images.

    Raises:
        InputError: The folder or an image is missing, or two pages have the same image.
    """
    folder = config.images_folder
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder (--images)")
    places: dict[str, str] = {}
    missing = []
    for page in pages:
        name = find_image(folder, page.file_name)
        if name is None:
            missing.append(page)
        elif name in places:
            raise InputError(f"{page.place}: {name} is already the image of {places[name]} (--annotations)")
        else:
            places[name] = page.place
    if missing:
        first = f"{missing[0].place}: no image {missing[0].file_name!r:.200} in {folder}"
        raise InputError(f"{first}; {len(missing)} of {len(pages)} are missing (--images)")
    return {name: folder / name for name in places}


def rgb_files(pages: Sequence[LabelledPage], images: Sequence[Path], scratch: Path, notes: Notes) -> list[str]:
    """The path of each image, or of an upright RGB copy if it is not one.

    Args:
        scratch: A temporary folder that exists until the data set is saved.
        notes: Receives images whose size differs from the stated one.

    Raises:
        InputError: An image cannot be read.
    """
    files = []
    for page, path in zip(pages, tqdm(images, desc="images", unit="image", disable=None), strict=True):
        image = open_image(path, page.place)
        if None not in page.size and page.size != image.size:
            notes["images with another size than stated"].append(f"{page.place}: {image.width} x {image.height}")
        if not decoded(path, page.place, is_plain):
            path = scratch / f"{len(files)}.png"
            image.save(path)
        files.append(str(path))
    return files


def is_plain(image: PIL.Image.Image) -> bool:
    """Whether an image is RGB and needs no rotation."""
    return image.mode == "RGB" and not is_turned(image)


def to_dataset(pages: Sequence[LabelledPage], ids: list[str], files: list[str], names: list[str]) -> Dataset:
    """A data set with a row for each page.

    Args:
        ids: Ids of the pages.
        files: The images, in RGB.
        names: Names of the classes.
    """
    features = {
        "id": Value("string"),
        "image": Image(decode=True),
        "bboxes": List(List(Value("int64"))),
        "ner_tags": List(ClassLabel(names=names)),
        "tokens": List(Value("string")),
    }
    columns = {name: [getattr(page, name) for page in pages] for name in ("bboxes", "ner_tags", "tokens")}
    return Dataset.from_dict({"id": ids, "image": files} | columns, features=Features(features))


def split(rows: Dataset, config: AnnotationsConfig) -> DatasetDict:
    """Train and test split, drawn by `datasets`; only train if the test size is 0."""
    if not config.test_size:
        return DatasetDict({"train": rows})
    return rows.train_test_split(test_size=config.test_size, shuffle=config.shuffle, seed=config.seed)


def summary(config: AnnotationsConfig, splits: DatasetDict, notes: Notes) -> str:
    """A summary for the screen: pages and regions of each split by class, notes, output folder."""
    tags = [Counter(tag for page in rows["ner_tags"] for tag in page) for rows in splits.values()]
    table = [("", list(splits)), ("pages", [len(rows) for rows in splits.values()])]
    table += [(name, [counts[number] for counts in tags]) for number, name in enumerate(config.names)]
    table.append(("regions", [counts.total() for counts in tags]))
    width = max(len(name) for name, _ in table)
    lines = [f"{config.annotations}:"]
    lines += [f"  {name:<{width}}" + "".join(f"  {value:>7}" for value in row) for name, row in table]
    lines += noted(notes)
    return "\n".join([*lines, f"written to {config.output_dir}"])


def noted(notes: Notes) -> list[str]:
    """The notes, one line for each kind."""
    lines = [f"{len(places)} {what}; the first: {places[0]}" for what, places in notes.items() if places]
    hint = "use --words for a folder of words from OCR, which become the text of the regions that contain them"
    return [*lines, hint] if NO_TEXT in notes else lines


def push(folder: Path, name: str, private: bool) -> None:
    """Upload the data set in `folder`.

    Raises:
        InputError: As for `repository`.
    """
    with repository(name, "dataset", private, folder):
        DatasetDict.load_from_disk(str(folder)).push_to_hub(name)
