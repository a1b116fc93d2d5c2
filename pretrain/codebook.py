"""The image tokenizer: a page image -> the code of each patch, of the patches as they are, not masked.

DiT's own was never released. k-means over the patches of the train pages is the default; a FlavaImageCodebook, which is
DALL-E's (8,192 codes), is taken from a folder or from the hub.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.cluster import MiniBatchKMeans
from torch.nn.functional import interpolate
from tqdm import tqdm
from transformers import FlavaImageCodebook, LayoutLMv3Config

from documents.images import ImageFile
from documents.pretrained import check_weights, one_line, read_config
from preprocess.errors import InputError
from preprocess.sources import HUB_ID

KMEANS = "kmeans"
FILE = "codebook.safetensors"  # of k-means, beside the model
CODES, PREPARED = "prepared.codes.npy", "prepared.codebook.safetensors"  # in a run folder, made once
FLAVA = "flava_image_codebook"
MEAN, SPREAD = 0.5, 0.5  # of pixels in 0..1, as the model reads them
PATCHES = 200_000  # at most, to train k-means on
SEEN_PATCHES = 4096  # by one step of k-means
PIXELS_A_CODE = 8  # of a side, in DALL-E's dVAE
DALL_E_MARGIN = 0.1  # by which it moves pixels off 0 and 1
IMAGES = 16  # encoded at once


@dataclass(frozen=True)
class CodebookOptions:
    """Which image tokenizer.

    Args:
        name: As `--image_tokenizer` says it.
        size: Codes of k-means.
        seed: Of k-means.
    """

    name: str
    size: int
    seed: int


class Codebook(Protocol):
    """Whatever tells the codes of images."""

    size: int

    def encode(self, images: np.ndarray) -> np.ndarray:
        """(N, P) codes of images uint8 (N, 3, S, S), P patches row by row."""


class KMeansCodebook:
    """A code is the number of the nearest centre.

    Args:
        centres: float32 (codes, 3 * patch * patch), of pixels -1..1.
        patch: Pixels of a side.
    """

    def __init__(self, centres: np.ndarray, patch: int):
        self.centres, self.patch, self.size = centres, patch, len(centres)

    def encode(self, images: np.ndarray) -> np.ndarray:
        found = patches_of(images, self.patch)
        # the squares of the patches are the same for all centres
        distances = (self.centres**2).sum(1) - 2 * found.reshape(-1, found.shape[-1]) @ self.centres.T
        return distances.argmin(1).reshape(found.shape[:2]).astype(np.int32)

    def save(self, path: Path) -> None:
        part = path.with_name(f".{path.name}")
        save_file({"centres": torch.from_numpy(self.centres), "patch": torch.tensor(self.patch)}, part)
        os.replace(part, path)


class FlavaCodebook:
    """DALL-E's dVAE, as FLAVA has it. It reads 8 x 8 pixels a code, so images are made smaller first, as BEiT does.

    Args:
        model: Frozen.
        side: Patches in a row of an image.
    """

    def __init__(self, model: FlavaImageCodebook, side: int):
        self.model, self.side, self.size = model.eval(), side, model.config.vocab_size

    @torch.inference_mode()
    def encode(self, images: np.ndarray) -> np.ndarray:
        size = PIXELS_A_CODE * self.side
        pixels = torch.from_numpy(images).float() / 255
        pixels = interpolate(pixels, (size, size), mode="bilinear", antialias=True)
        codes = self.model.get_codebook_indices((1 - 2 * DALL_E_MARGIN) * pixels + DALL_E_MARGIN)
        return codes.flatten(1).numpy().astype(np.int32)


def patches_of(images: np.ndarray, patch: int) -> np.ndarray:
    """float32 (N, P, 3 * patch * patch) in -1..1 of images uint8 (N, 3, S, S), row by row."""
    count, channels, size, _ = images.shape
    side = size // patch
    cut = images.reshape(count, channels, side, patch, side, patch).transpose(0, 2, 4, 1, 3, 5)
    pixels = cut.reshape(count, side * side, channels * patch * patch).astype(np.float32)
    return (pixels / 255 - MEAN) / SPREAD


def train_kmeans(images: ImageFile, numbers: list[int], patch: int, size: int, seed: int) -> KMeansCodebook:
    """A codebook of the patches of some images, an equal number of each where they are many.

    Raises:
        InputError: They have fewer different patches than the codebook has codes.
    """
    generator = np.random.default_rng(seed)
    each = max(1, PATCHES // len(numbers))
    samples = []
    for number in numbers:
        patches = patches_of(images[[number]], patch)[0]
        chosen = generator.permutation(len(patches))[:each]
        samples.append(patches[np.sort(chosen)])
    patches = np.concatenate(samples)
    distinct = np.unique(patches, axis=0)
    if len(distinct) < size:
        raise InputError(f"--codebook_size {size}: the train pages have {len(distinct)} different patches")
    # of different patches: half of all are white, and centres that begin there stay there
    fitted = MiniBatchKMeans(size, random_state=seed, batch_size=SEEN_PATCHES, n_init=1).fit(distinct)
    return KMeansCodebook(fitted.cluster_centers_.astype(np.float32), patch)


def read_kmeans(path: Path, patch: int, flag: str) -> KMeansCodebook:
    """What `KMeansCodebook.save` wrote.

    Raises:
        InputError: Damaged, or of patches of another size.
    """
    try:
        stored = load_file(path)
        centres, found = stored["centres"].numpy(), int(stored["patch"])
    except Exception as error:  # whatever a damaged file leads to
        raise InputError(f"{path}: is no codebook: {type(error).__name__} ({flag})") from None
    if found != patch or centres.shape[1:] != (3 * patch * patch,):
        raise InputError(f"{path}: has patches of {found} pixels, the model of {patch} ({flag})")
    return KMeansCodebook(centres, patch)


def open_codebook(name: str, side: int, patch: int) -> Codebook:
    """The codebook that `--image_tokenizer` names, if it is not to be trained.

    Raises:
        InputError: Not there, damaged, or another model.
    """
    flag = "--image_tokenizer"
    if (Path(name) / FILE).is_file():
        return read_kmeans(Path(name) / FILE, patch, flag)
    if not Path(name).is_dir() and not HUB_ID.fullmatch(name):
        raise InputError(f"{flag} {name}: expected {KMEANS}, a folder with {FILE}, or a FlavaImageCodebook")
    read_config(name, FLAVA, flag)
    with one_line(name, flag):
        model, report = FlavaImageCodebook.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
    check_weights(name, report["missing_keys"], "", flag)
    return FlavaCodebook(model, side)


def codes_of(codebook: Codebook, images: ImageFile) -> np.ndarray:
    """(N, P) codes of all images."""
    starts = tqdm(range(0, len(images), IMAGES), desc="image codes", unit="batch", disable=None)
    parts = [codebook.encode(images[list(range(start, min(start + IMAGES, len(images))))]) for start in starts]
    return np.concatenate(parts)


def prepared_codes(
    options: CodebookOptions, shape: LayoutLMv3Config, numbers: list[int], images: ImageFile, folder: Path
) -> tuple[Codebook, np.ndarray]:
    """The image tokenizer and the codes of all images, (N, P), made once and kept in a run folder.

    Args:
        shape: Of the model.
        numbers: Of the images that k-means is trained on.
    """
    side, patch, kept = shape.input_size // shape.patch_size, shape.patch_size, folder / PREPARED
    if options.name != KMEANS:
        codebook = open_codebook(options.name, side, patch)
    elif kept.is_file():
        codebook = read_kmeans(kept, patch, "--output_dir")
    else:
        codebook = train_kmeans(images, numbers, patch, options.size, options.seed)
        codebook.save(kept)
    path = folder / CODES
    if not path.exists():
        part = path.with_name(f".{path.name}")
        with part.open("wb") as file:
            np.save(file, codes_of(codebook, images))
        os.replace(part, path)
    return codebook, np.load(path, allow_pickle=False)
