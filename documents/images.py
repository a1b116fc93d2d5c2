"""Page images: opened as RGB from any source, and cached on disk as arrays at model size."""

import os
import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from preprocess.errors import InputError, first_line

T = TypeVar("T")
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # gray modes that Pillow would clip at 255
RANGES = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 4095.0, 65535.0)}  # usual maxima of floats and integers
LARGEST_IMAGE = 100_000_000  # pixels: A3 at 600 dpi has 70 million
ORIENTATION = 0x0112  # tag of EXIF and TIFF
LYING = (5, 6, 7, 8)  # its values that swap width and height


def open_image(image: Any, place: str) -> Image.Image:
    """An image as RGB, upright, with white for transparent pixels.

    Args:
        image: A path, the bytes of a file, {"bytes", "path"} of `datasets`, or a Pillow image.
        place: The page, for messages.

    Raises:
        InputError: The image is missing or cannot be read.
    """
    return decoded(image, place, to_rgb)


def image_size(image: Any, place: str) -> tuple[int, int]:
    """Width and height in pixels of the upright page, from the file's header.

    Raises:
        InputError: As for `open_image`.
    """
    return decoded(image, place, upright_size)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height after the EXIF orientation is applied."""
    if image.format == "TIFF":
        image.load()  # Pillow rotates TIFF images on loading
    width, height = image.size
    return (height, width) if image.getexif().get(ORIENTATION) in LYING else (width, height)


def is_turned(image: Image.Image) -> bool:
    """Whether the EXIF orientation rotates or mirrors the image."""
    return image.getexif().get(ORIENTATION, 1) != 1


def decoded(image: Any, place: str, use: Callable[[Image.Image], T]) -> T:
    """The result of `use` for the opened image; all exceptions of Pillow become an InputError."""
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
        ):  # reading a pipe would block
            raise InputError(f"{place}: the image cannot be read{name}: not a regular file")
        with quiet_open(BytesIO(image) if isinstance(image, bytes) else image) as opened:
            if opened.width * opened.height > LARGEST_IMAGE:
                size = f"{opened.width} x {opened.height} pixels, expected at most {LARGEST_IMAGE:,}"
                raise InputError(f"{place}: the image cannot be read{name}: {size}")
            return use(opened)
    except FileNotFoundError:
        raise InputError(f"{place}: no such image{name}") from None
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{place}: the image cannot be read{name}: unknown format") from None
    except Exception as error:  # decoders raise many types; the cause is the file
        raise InputError(f"{place}: the image cannot be read{name}: {first_line(error)}") from None


def quiet_open(file: Any) -> Image.Image:
    """Open an image without Pillow's warning about many pixels, which are reported as an InputError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file)


def to_rgb(image: Image.Image) -> Image.Image:
    """An opened image as upright RGB."""
    image = ImageOps.exif_transpose(image)  # boxes refer to the displayed image
    if image.mode in DEEP:
        image = eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def eight_bits(image: Image.Image) -> Image.Image:
    """An image of integers or floats as 8-bit gray; white is the maximum of the smallest usual range that fits.

    Other ranges are stretched from their minimum to their maximum.
    """
    levels = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0, neginf=0)
    low, high = float(levels.min()), float(levels.max())
    top = next((top for top in RANGES[image.mode[0]] if low >= 0 and high <= top), None)
    start, length = (low, high - low) if top is None else (0.0, top)
    return Image.fromarray(np.rint((levels - start) * 255 / (length or 1)).astype(np.uint8))


class ImageFile:
    """Images of one size on disk, uint8 (N, 3, size, size): added one by one, read by index.

    Added images are written to a temporary name until `close`, which replaces the file; they can be read only then.
    Nothing is kept in memory, and a reader can be sent to another process.

    Args:
        path: The file.
        size: Side length in pixels.
    """

    def __init__(self, path: str | Path, size: int) -> None:
        self.path = Path(path)
        self.shape = (3, size, size)
        self.added = 0
        self.file: BinaryIO | None = None

    @property
    def part(self) -> Path:
        """The temporary name, always the same, so that killed runs leave at most one such file."""
        return self.path.with_name(f".{self.path.name}.part")

    def add(self, image: np.ndarray) -> int:
        """Append an image, uint8 (3, size, size), and return its index."""
        if image.shape != self.shape or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self.shape}, found {image.dtype} {image.shape}")
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file, self.added = self.part.open("wb"), 0
        self.file.write(np.ascontiguousarray(image).data)
        self.added += 1
        return self.added - 1

    def close(self) -> None:
        """Replace the file by the added images."""
        if self.file is not None:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.part, self.path)
            self.file = None

    def discard(self) -> None:
        """Discard the added images."""
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
        """The image at an index (3, size, size), or at several (len(numbers), 3, size, size).

        Raises:
            InputError: The file is not a whole number of such images.
        """
        if self.path.stat().st_size % int(np.prod(self.shape)):
            raise InputError(f"{self.path}: not a whole number of images {self.shape}")
        stored = np.memmap(self.path, np.uint8, "r", shape=(len(self), *self.shape))
        return stored[np.asarray(numbers)]  # indexing with an array copies
