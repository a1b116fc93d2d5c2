"""Page images: opened as RGB wherever they come from, and kept on disk as numbers once they are small."""

import os
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from preprocess.errors import InputError, first_line

T = TypeVar("T")
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # one number a pixel, which Pillow itself cuts at 255
RANGES = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 4095.0, 65535.0)}  # of floats and of integers: 8, 12 and 16 bits
LARGEST_IMAGE = 100_000_000  # pixels: A3 at 600 dots an inch has 70 million
ORIENTATION = 0x0112  # EXIF's and TIFF's tag
LYING = (5, 6, 7, 8)  # its values that exchange width and height


def open_image(image: Any, place: str) -> Image.Image:
    """An image as RGB, upright; what is transparent is white, as the paper is.

    Args:
        image: A path, the bytes of a file, {"bytes", "path"} as of `datasets`, or an image of Pillow.
        place: The page, for messages.

    Raises:
        InputError: There is none, or it cannot be read to its end.
    """
    return decoded(image, place, to_rgb)


def image_size(image: Any, place: str) -> tuple[int, int]:
    """Width and height in pixels of the page as it is seen, upright, from the head of the file.

    Raises:
        InputError: As of `open_image`.
    """
    return decoded(image, place, upright_size)


def upright_size(image: Image.Image) -> tuple[int, int]:
    if image.format == "TIFF":
        image.load()  # Pillow turns these itself, then
    width, height = image.size
    return (height, width) if image.getexif().get(ORIENTATION) in LYING else (width, height)


def is_turned(image: Image.Image) -> bool:
    """Whether a file says that its pixels are to be turned or mirrored."""
    return image.getexif().get(ORIENTATION, 1) != 1


def decoded(image: Any, place: str, use: Callable[[Image.Image], T]) -> T:
    """What `use` makes of an opened image, with the many exceptions of Pillow as one line."""
    if isinstance(image, dict):
        image = image.get("bytes") or image.get("path")
    if image is None:
        raise InputError(f"{place}: no image of this page")
    name = f": {image}" if isinstance(image, str | Path) else ""
    try:
        if isinstance(image, Image.Image):
            return use(image)
        if (
            name and Path(image).exists() and not (Path(image).is_file() or Path(image).is_dir())
        ):  # it would be waited for
            raise InputError(f"{place}: the image cannot be read{name}: is no regular file")
        with Image.open(BytesIO(image) if isinstance(image, bytes) else image) as opened:
            if opened.width * opened.height > LARGEST_IMAGE:
                size = f"{opened.width} x {opened.height} pixels, expected at most {LARGEST_IMAGE:,}"
                raise InputError(f"{place}: the image cannot be read{name}: {size}")
            return use(opened)
    except FileNotFoundError:
        raise InputError(f"{place}: no such image{name}") from None
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{place}: the image cannot be read{name}: of no form that is known") from None
    except Exception as error:  # whatever its decoders raise, the cause is the file
        raise InputError(f"{place}: the image cannot be read{name}: {first_line(error)}") from None


def to_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)  # boxes are drawn on what a viewer shows
    if image.mode in DEEP:
        image = eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def eight_bits(image: Image.Image) -> Image.Image:
    """An image of integers or floats as gray, white at the end of the range that its numbers need.

    What fits into no usual range is stretched from its least number to its greatest.
    """
    levels = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0, neginf=0)
    low, high = float(levels.min()), float(levels.max())
    top = next((top for top in RANGES[image.mode[0]] if low >= 0 and high <= top), None)
    start, length = (low, high - low) if top is None else (0.0, top)
    return Image.fromarray(np.rint((levels - start) * 255 / (length or 1)).astype(np.uint8))


class ImageFile:
    """Images of one size on disk, uint8 (N, 3, size, size): added one by one, read by their numbers.

    What is added stands under a temporary name until `close`, which puts it in place of what was there; only then it
    can be read. Nothing is held in memory, and what reads can be sent to another process.

    Args:
        path: Of the file.
        size: Pixels of a side.
    """

    def __init__(self, path: str | Path, size: int) -> None:
        self.path = Path(path)
        self.shape = (3, size, size)
        self.added = 0
        self.file: BinaryIO | None = None

    @property
    def part(self) -> Path:
        """The temporary name: always the same, so that a run that was killed leaves one such file at most."""
        return self.path.with_name(f".{self.path.name}.part")

    def add(self, image: np.ndarray) -> int:
        """Append an image, uint8 (3, size, size); its number."""
        if image.shape != self.shape or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self.shape}, found {image.dtype} {image.shape}")
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file, self.added = self.part.open("wb"), 0
        self.file.write(np.ascontiguousarray(image).data)
        self.added += 1
        return self.added - 1

    def close(self) -> None:
        """Put what was added in place."""
        if self.file is not None:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.part, self.path)
            self.file = None

    def discard(self) -> None:
        """Throw away what was added."""
        if self.file is not None:
            self.file.close()
            self.part.unlink()
            self.file = None

    def __enter__(self) -> "ImageFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __len__(self) -> int:
        return self.path.stat().st_size // int(np.prod(self.shape))

    def __getitem__(self, numbers: int | Sequence[int]) -> np.ndarray:
        """The image of a number, (3, size, size), or those of several, (len(numbers), 3, size, size).

        Raises:
            InputError: The file holds no whole number of such images.
        """
        if self.path.stat().st_size % int(np.prod(self.shape)):
            raise InputError(f"{self.path}: holds no whole number of images {self.shape}")
        stored = np.memmap(self.path, np.uint8, "r", shape=(len(self), *self.shape))
        return stored[np.asarray(numbers)]  # an index that is an array copies
