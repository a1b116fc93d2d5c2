"""The image tokenizer: a page image -> the code of each of its patches, before masking.

DiT's tokenizer was never released. The default is k-means over the patches of the train pages; a FlavaImageCodebook,
which is DALL-E's (8,192 codes), is loaded from a folder or from the hub.
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
CODES, PREPARED = "prepared.codes.npy", "prepared.codebook.safetensors"  # in a run folder, computed once
FLAVA = "flava_image_codebook"
MEAN, SPREAD = 0.5, 0.5  # of pixels in 0..1, as the model reads them
PATCHES = 200_000  # maximum for training k-means
BATCH_OF_PATCHES = 4096  # in a step of k-means
CODE_SIDE = 8  # pixels that a code of DALL-E's dVAE covers, in each direction
DALL_E_MARGIN = 0.1  # DALL-E maps pixels from 0..1 to 0.1..0.9
IMAGES = 16  # in a batch


@dataclass(frozen=True)
class CodebookOptions:
    """The choice of an image tokenizer.

    Args:
        name: The value of `--image_tokenizer`.
        size: Number of codes of k-means.
        seed: Random seed of k-means.
    """

    name: str
    size: int
    seed: int


class Codebook(Protocol):
    """Maps images to the codes of their patches."""

    size: int

    def encode(self, images: np.ndarray) -> np.ndarray:
        """(N, P) codes of images uint8 (N, 3, S, S), P patches row by row."""


class KMeansCodebook:
    """The code of a patch is the number of the nearest centre.

    Args:
        centres: float32 (codes, 3 * patch * patch), pixels in -1..1.
        patch: Side length of a patch in pixels.
    """

    def __init__(self, centres: np.ndarray, patch: int):
        self.centres, self.patch, self.size = centres, patch, len(centres)

    def encode(self, images: np.ndarray) -> np.ndarray:
        patches = patches_of(images, self.patch)
        # squared distances without the squares of the patches, which are the same for all centres
        distances = (self.centres**2).sum(1) - 2 * patches.reshape(-1, patches.shape[-1]) @ self.centres.T
        return distances.argmin(1).reshape(patches.shape[:2]).astype(np.int32)

    def save(self, path: Path) -> None:
        """Write a file that `read_kmeans` reads."""
        part = path.with_name(f".{path.name}")
        save_file({"centres": torch.from_numpy(self.centres), "patch": torch.tensor(self.patch)}, part)
        os.replace(part, path)


class FlavaCodebook:
    """DALL-E's dVAE in FLAVA's implementation. A code covers 8 x 8 pixels, so images are downscaled first, as in BEiT.

    Args:
        model: The frozen model.
        side: Patches per row of an image.
    """

    def __init__(self, model: FlavaImageCodebook, side: int):
        self.model, self.side, self.size = model.eval(), side, model.config.vocab_size

    @torch.inference_mode()
    def encode(self, images: np.ndarray) -> np.ndarray:
        size = CODE_SIDE * self.side
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
    """Train a codebook on the patches of some images; if there are too many patches, on an equal number per image.

    Args:
        numbers: The indices of the images.
        patch: Side length of a patch in pixels.
        size: Number of codes.

    Raises:
        InputError: There are fewer distinct patches than codes.
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
        raise InputError(f"--codebook_size {size}: expected at most {len(distinct)}, the number of distinct patches")
    # on distinct patches: half of all are white, and centres that start there stay there
    fitted = MiniBatchKMeans(size, random_state=seed, batch_size=BATCH_OF_PATCHES, n_init=1).fit(distinct)
    return KMeansCodebook(fitted.cluster_centers_.astype(np.float32), patch)


def read_kmeans(path: Path, patch: int, flag: str) -> KMeansCodebook:
    """Read a codebook that `KMeansCodebook.save` wrote.

    Raises:
        InputError: The file is damaged, or its patches have another size.
    """
    try:
        stored = load_file(path)
        centres, side = stored["centres"].numpy(), int(stored["patch"])
    except Exception as error:  # of any type, depending on the damage
        raise InputError(f"{path}: not a codebook: {type(error).__name__} ({flag})") from None
    if side != patch or centres.shape[1:] != (3 * patch * patch,):
        raise InputError(f"{path}: patches of {side} pixels, expected {patch} as in the model ({flag})")
    return KMeansCodebook(centres, patch)


def open_codebook(name: str, side: int, patch: int) -> Codebook:
    """The trained codebook that `--image_tokenizer` names.

    Raises:
        InputError: It does not exist, is damaged, or is another kind of model.
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
    """The image tokenizer and the codes of all images, (N, P), computed once and cached in the run folder.

    Args:
        shape: The configuration of the model.
        numbers: The indices of the images on which k-means is trained.
    """
    side, patch, cached = shape.input_size // shape.patch_size, shape.patch_size, folder / PREPARED
    if options.name != KMEANS:
        codebook = open_codebook(options.name, side, patch)
    elif cached.is_file():
        codebook = read_kmeans(cached, patch, "--output_dir")
    else:
        codebook = train_kmeans(images, numbers, patch, options.size, options.seed)
        codebook.save(cached)
    path = folder / CODES
    if not path.exists():
        part = path.with_name(f".{path.name}")
        with part.open("wb") as file:
            np.save(file, codes_of(codebook, images))
        os.replace(part, path)
    return codebook, np.load(path, allow_pickle=False)
