"""All kinds of images become RGB; damaged ones are one-line errors; the file of images returns what was added."""

import io
import pickle

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from PIL import Image

from documents.images import ImageFile, image_size, open_image
from preprocess.errors import InputError

RED, GRAY = (200, 30, 40), (120, 120, 120)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def split_picture() -> Image.Image:
    """Red on the left, white on the right."""
    image = Image.new("RGB", (8, 4), RED)
    image.paste((255, 255, 255), (4, 0, 8, 4))
    return image


def sixteen_bits(value: int) -> Image.Image:
    return Image.fromarray(np.full((4, 8), value, np.uint16))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(split_picture()), RED),
        (encoded(split_picture().quantize(4)), RED),
        (encoded(Image.new("L", (8, 4), 120)), GRAY),
        (encoded(Image.new("1", (8, 4), 1)), (255, 255, 255)),
        (encoded(Image.new("LA", (8, 4), (120, 255))), GRAY),
        (encoded(Image.new("RGBA", (8, 4), (*RED, 255))), RED),
        (encoded(Image.new("RGBA", (8, 4), (0, 0, 0, 0))), (255, 255, 255)),
        (encoded(Image.new("L", (8, 4), 0), transparency=0), (255, 255, 255)),
        (encoded(sixteen_bits(120 * 257)), GRAY),
        (encoded(sixteen_bits(65535)), (255, 255, 255)),
        (encoded(Image.new("I", (8, 4), 120 * 257), "TIFF"), GRAY),
        (encoded(Image.new("CMYK", (8, 4), (55, 225, 215, 0)), "TIFF"), RED),
    ],
)
def test_every_kind_becomes_rgb(content, expected, tmp_path):
    """From a path, a path as text, bytes, an undecoded image of `datasets`, and an opened image."""
    path = tmp_path / "image"
    path.write_bytes(content)
    forms = [path, str(path), content, {"bytes": content, "path": None}, {"bytes": None, "path": str(path)}]
    for image in [*forms, Image.open(path)]:
        opened = open_image(image, "here")
        assert (opened.mode, opened.size) == ("RGB", (8, 4))
        assert opened.getpixel((0, 0)) == expected
        assert image_size(image, "here") == (8, 4)


def test_a_photograph_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    opened = open_image(encoded(split_picture(), exif=exif), "here")
    assert (opened.size, opened.getpixel((0, 0)), opened.getpixel((0, 7))) == ((4, 8), RED, (255, 255, 255))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_the_size_is_that_of_the_upright_page(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(split_picture(), form, exif=exif)
    opened = open_image(content, "here")
    assert opened.size == image_size(content, "here") == ((8, 4) if orientation < 5 else (4, 8))
    assert open_image(opened, "again").tobytes() == opened.tobytes()
    if form == "PNG":
        reds = [opened.getpixel(corner) == RED for corner in ((0, 0), (opened.width - 1, opened.height - 1))]
        assert reds == [orientation in (1, 4, 5, 6), orientation in (2, 3, 7, 8)]


DEPTHS = [
    (np.uint16, 65535),
    (np.uint16, 4095),
    (np.uint16, 255),
    (np.int32, 65535),
    (np.int32, 10**9),
    (np.float32, 1.0),
    (np.float32, 255.0),
    (np.float32, 65535.0),
]


@pytest.mark.parametrize(("kind", "top"), DEPTHS)
def test_images_of_more_than_8_bits_keep_their_shades(kind, top, tmp_path):
    """Integers of 8, 12, 16 and more bits; floats up to 1, up to 255, and larger."""
    shades = np.linspace(0, 1, 256)[None].repeat(4, 0)
    image = Image.fromarray((shades * top).astype(kind))
    image.save(tmp_path / "page.tiff")
    found = np.asarray(open_image(tmp_path / "page.tiff", "here"))[0, :, 0].astype(int)
    assert np.abs(found - np.arange(256)).max() <= 1
    assert (found[0], found[-1]) == (0, 255)


def test_floats_around_zero_are_stretched_and_nan_is_zero(tmp_path):
    levels = np.array([[-1.0, 0.0, 1.0, np.nan, np.inf]], np.float32)
    Image.fromarray(levels).save(tmp_path / "page.tiff")
    found = np.asarray(open_image(tmp_path / "page.tiff", "here"))[0, :, 0].tolist()
    assert found == [0, 128, 255, 128, 128]
    Image.new("F", (3, 3), 7e9).save(tmp_path / "even.tiff")
    assert open_image(tmp_path / "even.tiff", "here").getpixel((0, 0)) == (0, 0, 0)


def noise(side: int = 64) -> bytes:
    return encoded(Image.fromarray(np.random.default_rng(0).integers(256, size=(side, side, 3), dtype=np.uint8)))


def test_unreadable_images_are_named(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "half.png").write_bytes(noise()[:-3000])
    for image, message in (
        (None, "page 7: no image of this page"),
        ({"bytes": None, "path": None}, "page 7: no image of this page"),
        (tmp_path / "none.png", f"page 7: no such image: {tmp_path}/none.png"),
        ({"bytes": None, "path": "none.png"}, "page 7: no such image: none.png"),
        (tmp_path / "text.png", f"page 7: the image cannot be read: {tmp_path}/text.png: unknown format"),
        (b"no image", "page 7: the image cannot be read: unknown format"),
        (tmp_path / "half.png", f"page 7: the image cannot be read: {tmp_path}/half.png: image file is truncated"),
        (Image.open(tmp_path / "half.png"), "page 7: the image cannot be read: image file is truncated"),
        (tmp_path, f"page 7: the image cannot be read: {tmp_path}: [Errno 21]"),
        (3, "page 7: the image cannot be read: "),
    ):
        with pytest.raises(InputError) as error:
            open_image(image, "page 7")
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="page 7: no such image"):
        image_size(tmp_path / "none.png", "page 7")


def test_the_file_returns_what_was_added(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(50, 3, 16, 16), dtype=np.uint8)
    path = tmp_path / "run" / "images"
    with ImageFile(path, 16) as file:
        assert [file.add(image) for image in images[:, :, ::-1]] == list(range(50))  # not contiguous
        assert not path.exists()
    assert [entry.name for entry in path.parent.iterdir()] == ["images"]
    assert path.stat().st_size == images.size
    for reader in (file, ImageFile(path, 16), pickle.loads(pickle.dumps(file))):
        assert len(reader) == 50
        assert (reader[7] == images[7, :, ::-1]).all()
        assert (reader[[3, 1, 3]] == images[[3, 1, 3], :, ::-1]).all()
        assert (type(reader[7]), reader[7].flags.writeable) == (np.ndarray, True)
    with pytest.raises(InputError, match=r"images: not a whole number of images \(3, 24, 24\)"):
        ImageFile(path, 24)[0]


def test_an_interrupted_file_leaves_the_old_one(tmp_path):
    path, image = tmp_path / "images", np.ones((3, 4, 4), np.uint8)
    with ImageFile(path, 4) as file:
        file.add(image)
    with pytest.raises(KeyboardInterrupt), file:
        file.add(image * 2)
        file.add(image * 2)
        raise KeyboardInterrupt
    assert (len(ImageFile(path, 4)), ImageFile(path, 4)[0].max()) == (1, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["images"]
    with file:  # as often as one likes
        assert file.add(image * 3) == 0
    assert (len(file), file[0].max()) == (1, 3)


def test_an_image_of_another_shape_is_refused(tmp_path):
    file = ImageFile(tmp_path / "images", 4)
    for image in (np.ones((3, 4, 5), np.uint8), np.ones((3, 4, 4), np.float32), np.ones((4, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"expected uint8 \(3, 4, 4\)"):
            file.add(image)
    assert not any(tmp_path.iterdir())


def test_an_image_of_too_many_pixels_is_refused(tmp_path):
    """Before it is decoded; the file itself has a few kilobytes."""
    path = tmp_path / "x.png"
    Image.new("1", (16_000, 11_000)).save(path)
    with pytest.raises(InputError, match=r"x\.png: 16000 x 11000 pixels, expected at most 100,000,000$"):
        open_image(path, "page 1")
