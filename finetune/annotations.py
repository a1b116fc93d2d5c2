"""Labelled images of documents -> a data set in train and test: texts, their boxes and classes, the page's image."""

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

from documents.images import decoded, is_turned, open_image
from finetune.hub import check_push, repository
from finetune.image_names import find_image
from finetune.label_studio import Notes
from finetune.labelled_pages import NO_TEXT, ExportReading, LabelledPage, read_pages
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable, read_json, remove_leftovers, scratch_folder, write_json
from preprocess.units import PERCENT, check_unit, unit_of

RECORD = "made_from.json"  # in the folder: what it is a function of
LABELS = "InvNum,InvDate,Fourni,TTC,TVA,TT,Autre"


@dataclass(frozen=True)
class AnnotationsConfig:
    """Turn labelled images into a data set with a train and a test split.

    Args:
        annotations: Label Studio's export "JSON" or "JSON-MIN", or a list of {file_name, height, width, annotations}.
        images: The folder of the images; default that of --annotations.
        words: A folder of the words that OCR has found, a JSON list of {text, box} for each image: those in a region
            are its text where it has none.
        words_unit: What the boxes of these are told in: pixels, percent, 0..1000 or 0..1; default pixels.
        box_unit: What the boxes of regions are told in; default percent, as in Label Studio.
        annotator: Whose annotation counts where several of one image differ: an id or an e-mail address.
        predictions: Take a model's predictions where an image has no annotation.
        labels: The names of the classes, separated by commas; a label that is a number counts them from 0.
        unlabelled: The class of regions without a label; default none, they are left out.
        output_dir: The folder to write.
        test_size: The part of the pages that is the test split; 0 makes all of them train.
        shuffle: Draw the test pages; with --shuffle=False they are the last ones.
        seed: Of the draw.
        overwrite: Replace the data set that is in --output_dir.
        push_to_hub: Push it to the hub too, as USER/NAME.
        private: Let nobody else see it there.
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
            raise InputError(f"--labels {self.labels}: expected two names or more, none empty, none twice")
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
        return [name.strip() for name in self.labels.split(",")]


def preprocess_annotations(config: AnnotationsConfig) -> None:
    """Read, split, write; push where that is asked for."""
    for flag, expected in (("annotations", "the file to read"), ("output_dir", "the folder to write")):
        if not getattr(config, flag):
            raise InputError(f"--{flag}: expected {expected}")
    folder = Path(config.output_dir).resolve()
    check_output(folder, config.overwrite)
    if config.words and not Path(config.words).is_dir():
        raise InputError(f"{config.words}: no such folder (--words)")
    reading = config.reading()
    try:
        said = make_dataset(config, reading, folder)
    except InputError:
        print("\n".join(noted(reading.notes)), end="\n" if reading.notes else "")
        raise
    print(said)
    if config.push_to_hub:
        push(folder, config.push_to_hub, config.private)


def make_dataset(config: AnnotationsConfig, reading: ExportReading, folder: Path) -> str:
    """Read the export and the images, split, write; what there is to say. The very data set is not made again.

    Raises:
        InputError: Whatever is wrong with them; another data set is there, and no `--overwrite`.
    """
    pages = read_pages(config.annotations, reading)
    if config.test_size and math.ceil(config.test_size * len(pages)) >= len(pages):
        raise InputError(f"--test_size {config.test_size}: leaves none to train on of pages with regions: {len(pages)}")
    images = find_images(config, pages)
    record = record_of(config, pages, list(images.values()))
    if (folder / RECORD).is_file() and not config.overwrite:
        if read_json(folder / RECORD, "--output_dir") != record:
            raise InputError(f"{folder}: holds another data set; --overwrite replaces it (--output_dir)")
        remove_leftovers(folder)
        return f"{folder}: finished already, same inputs and options; --overwrite repeats it"
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
    """What a data set is a function of."""
    options = {flag: getattr(config, flag) for flag in ("labels", "test_size", "shuffle", "seed")}
    read = [(page.file_name, page.size, page.tokens, page.bboxes, page.ner_tags) for page in pages]
    content = json.dumps(read).encode()
    return (
        options
        | {"pages_sha256": hashlib.sha256(content).hexdigest()}
        | {"images_sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in images]}
    )


def check_output(folder: Path, overwrite: bool) -> None:
    """Find out before the work whether `folder` can be written after it.

    Raises:
        InputError: It cannot, or holds something that is not to be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, expected a folder (--output_dir)")
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if found - {"dataset_dict.json", "train", "test", RECORD}:
        raise InputError(f"{folder}: holds files that are not of such a data set; name another folder (--output_dir)")
    if found and RECORD not in found and not overwrite:
        raise InputError(f"{folder}: holds a data set already; --overwrite replaces it (--output_dir)")
    check_writable(folder.with_name(f".{folder.name}"), "--output_dir")


def find_images(config: AnnotationsConfig, pages: Sequence[LabelledPage]) -> dict[str, Path]:
    """The image of each page, by its path within the folder of images.

    Raises:
        InputError: No such folder, images that are not in it, an image that is named twice.
    """
    folder = config.images_folder
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder (--images)")
    places: dict[str, str] = {}
    missing = []
    for page in pages:
        found = find_image(folder, page.file_name)
        if found is None:
            missing.append(page)
        elif found in places:
            raise InputError(f"{page.place}: {found} is the image of {places[found]} already (--annotations)")
        else:
            places[found] = page.place
    if missing:
        first = f"{missing[0].place}: no image {missing[0].file_name!r:.200} in {folder}"
        raise InputError(f"{first}; missing are {len(missing)} of {len(pages)} (--images)")
    return {name: folder / name for name in places}


def rgb_files(pages: Sequence[LabelledPage], images: Sequence[Path], scratch: Path, notes: Notes) -> list[str]:
    """The path of each image, or of a copy of it in RGB and upright where it is not.

    Args:
        scratch: A folder that lasts until the data set is saved.
        notes: Takes images that are not of the stated size.

    Raises:
        InputError: An image that cannot be read.
    """
    files = []
    for page, path in zip(pages, tqdm(images, desc="images", unit="image", disable=None), strict=True):
        image = open_image(path, page.place)
        if None not in page.size and page.size != image.size:
            notes["images of another size than stated"].append(f"{page.place}: {image.width} x {image.height}")
        if not decoded(path, page.place, is_plain):
            path = scratch / f"{len(files)}.png"
            image.save(path)
        files.append(str(path))
    return files


def is_plain(image: PIL.Image.Image) -> bool:
    """Whether a file is read alike by everyone: in RGB, and not to be turned."""
    return image.mode == "RGB" and not is_turned(image)


def to_dataset(pages: Sequence[LabelledPage], ids: list[str], files: list[str], names: list[str]) -> Dataset:
    """A row a page.

    Args:
        ids: Of the pages.
        files: The images, in RGB.
        names: Of the classes.
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
    """Into train and test, as `datasets` draws; all of it train where the test split is to have none."""
    if not config.test_size:
        return DatasetDict({"train": rows})
    return rows.train_test_split(test_size=config.test_size, shuffle=config.shuffle, seed=config.seed)


def summary(config: AnnotationsConfig, splits: DatasetDict, notes: Notes) -> str:
    """One screen: pages and regions of each split by class, what was left out or put right, where it went."""
    tags = [Counter(tag for page in rows["ner_tags"] for tag in page) for rows in splits.values()]
    table = [("", list(splits)), ("pages", [len(rows) for rows in splits.values()])]
    table += [(name, [found[number] for found in tags]) for number, name in enumerate(config.names)]
    table.append(("regions", [found.total() for found in tags]))
    width = max(len(name) for name, _ in table)
    lines = [f"{config.annotations}:"]
    lines += [f"  {name:<{width}}" + "".join(f"  {value:>7}" for value in row) for name, row in table]
    lines += noted(notes)
    return "\n".join([*lines, f"written to {config.output_dir}"])


def noted(notes: Notes) -> list[str]:
    """What was left out or put right, a line each."""
    lines = [f"{len(places)} {what}; the first: {places[0]}" for what, places in notes.items() if places]
    hint = "--words names a folder of the words that OCR has found: those in a region are its text"
    return [*lines, hint] if NO_TEXT in notes else lines


def push(folder: Path, name: str, private: bool) -> None:
    """Push the data set that is in `folder`.

    Raises:
        InputError: As of `repository`.
    """
    with repository(name, "dataset", private, folder):
        DatasetDict.load_from_disk(str(folder)).push_to_hub(name)
