"""Image tokenizers: k-means against a slow search, DALL-E's dVAE with random weights, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

from transformers import FlavaImageCodebook, FlavaImageCodebookConfig

from documents.images import ImageFile
from preprocess.errors import InputError
from pretrain.codebook import FILE, codes_of, open_codebook, patches_of, read_kmeans, train_kmeans

SIZE, PATCH, SIDE = 32, 8, 4


@pytest.fixture
def images(tmp_path: Path) -> ImageFile:
    """Twenty images, half of each white."""
    made, generator = ImageFile(tmp_path / "images", SIZE), np.random.default_rng(0)
    with made:
        for _ in range(20):
            page = generator.integers(0, 256, (3, SIZE, SIZE), np.uint8)
            page[:, : SIZE // 2] = 255
            made.add(page)
    return made


def test_patches_are_row_by_row(images):
    found = patches_of(images[[3]], PATCH)[0]
    for number in range(SIDE * SIDE):
        row, column = divmod(number, SIDE)
        pixels = images[3][:, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
        assert found[number].tolist() == pytest.approx((pixels.ravel() / 255 * 2 - 1).tolist(), abs=1e-6)


def test_a_code_is_the_nearest_centre(images, tmp_path):
    codebook = train_kmeans(images, list(range(20)), PATCH, 8, seed=0)
    codes = codes_of(codebook, images)
    assert codes.shape == (20, SIDE * SIDE)
    for patch, code in zip(patches_of(images[[5]], PATCH)[0], codes[5], strict=True):
        assert code == min(range(8), key=lambda number: ((codebook.centres[number] - patch) ** 2).sum())
    assert (codes[:, :8] == codes[0, 0]).all()  # white
    again = train_kmeans(images, list(range(20)), PATCH, 8, seed=0)
    assert np.array_equal(codebook.centres, again.centres)
    codebook.save(tmp_path / FILE)
    assert np.array_equal(codes_of(open_codebook(str(tmp_path), SIDE, PATCH), images), codes)


def test_refused(images, tmp_path):
    with pytest.raises(InputError, match=r"--codebook_size 999: expected at most 161, the number of distinct patches"):
        train_kmeans(images, list(range(20)), PATCH, 999, seed=0)
    train_kmeans(images, list(range(20)), PATCH, 8, seed=0).save(tmp_path / FILE)
    with pytest.raises(InputError, match=r"patches of 8 pixels, expected 16 as in the model"):
        read_kmeans(tmp_path / FILE, 16, "--image_tokenizer")
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"not a codebook"):
        open_codebook(str(tmp_path), SIDE, PATCH)
    with pytest.raises(InputError, match=r"--image_tokenizer no/such/folder: expected kmeans"):
        open_codebook("no/such/folder", SIDE, PATCH)
    (tmp_path / FILE).unlink()
    with pytest.raises(InputError, match=r"no config.json in it .--image_tokenizer"):
        open_codebook(str(tmp_path), SIDE, PATCH)


def test_flava(images, tmp_path):
    """Its codes equal those of the model on images with 8 pixels per code."""
    torch.manual_seed(0)
    model = FlavaImageCodebook(FlavaImageCodebookConfig(hidden_size=8, vocab_size=64))
    model.save_pretrained(tmp_path / "flava")
    codebook = open_codebook(str(tmp_path / "flava"), SIDE, PATCH)
    codes = codes_of(codebook, images)
    assert codebook.size == 64
    pixels = torch.from_numpy(images[[0]]).float() / 255 * 0.8 + 0.1  # of 32 pixels already
    expected = model.eval().get_codebook_indices(pixels)
    assert expected.shape == (1, SIDE, SIDE)
    assert codes[0].tolist() == expected.flatten().tolist()
