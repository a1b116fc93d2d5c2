"""The splits of pages into train, validation and test, and the data that is kept of a page."""

import json
import shutil
from dataclasses import replace

import pytest

pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from documents.pages import PageOptions, dataset_of, flat, read_split, read_splits
from documents.sources import source_of
from preprocess.errors import InputError


def splits_of(path, keep=None, seed=0, **options):
    return read_splits(PageOptions(**options), seed, source_of("doclaynet", str(path)), keep)


def blocks(pages):
    return [block.id for block in flat(pages)]


def names(pages):
    return [page.blocks[0].page for page in pages]


def test_splits(pages):
    splits = splits_of(pages)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (11, 1, 4)
    assert not set(blocks(splits.train)) & set(blocks(splits.validation))
    assert blocks(splits_of(pages).validation) == blocks(splits.validation)
    assert blocks(splits_of(pages, limit=10).test) == blocks(splits.test)[:10]
    few = splits_of(pages, train_pages=4, validation_fraction=0.5)
    assert (len(few.train), len(few.validation)) == (2, 2)
    named = splits_of(pages, validation_split="test")
    assert blocks(named.validation) == blocks(splits.test)


def test_ids_are_those_of_the_prompts(root):
    """Neither contains blocks without text, which are counted."""
    splits = splits_of(root / "samples/doclaynet", seed=42)
    prompts = json.loads((root / "samples/inputs_direct_doclaynet.json").read_text())
    meta = json.loads((root / "samples/inputs_direct_doclaynet.meta.json").read_text())
    assert blocks(splits.test) == [prompt["id"] for prompt in prompts]
    assert splits.dropped == meta["dropped_without_text"]


def test_testing_on_the_train_pages(pages, tmp_path):
    """If the user chooses the train split, to check for overfitting, no page is left out of training."""
    splits = splits_of(pages, test_split="train", validation_split="train")
    assert names(splits.train) == names(splits.validation) == names(splits.test) == [f"train{n}" for n in range(12)]
    assert splits.leaked == 0
    held = splits_of(pages, test_split="train")
    assert (len(held.train), len(held.validation), len(held.test), held.leaked) == (11, 1, 12, 0)
    other = splits_of(pages, test_split="train", train_path=str(pages / "test"))
    assert (len(other.train), len(other.validation), len(other.test)) == (3, 1, 12)
    same = splits_of(pages, test_split="train", train_path=f"{pages}/")
    assert (len(same.train), same.leaked) == (11, 0)
    shutil.copytree(pages, tmp_path / "copy")
    with pytest.raises(InputError, match=r"no train block with text besides test pages \(--train_path\)"):
        splits_of(pages, test_split="train", train_path=str(tmp_path / "copy"))


def test_names(root, pages, data, tmp_path, monkeypatch):
    monkeypatch.chdir(root)

    def name_in_tables(path):
        return dataset_of(path).table_name(path)

    assert (dataset_of("samples/doclaynet").name, name_in_tables("samples/doclaynet")) == (
        "doclaynet",
        "doclaynet_sample",
    )
    assert name_in_tables(str(pages)) == "doclaynet"
    assert name_in_tables(str(data / "docbank")) == "docbank"


def test_docbank_folders(data, tmp_path):
    """A folder of DocBank has only a test split; folders named train and test, or --train_path, give two splits."""
    files = sorted((data / "docbank/txt").glob("*.txt"))[:12]
    for number, file in enumerate(files):
        folder = tmp_path / "pages" / ("test" if number % 2 else "train")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
    both = splits_of(tmp_path / "pages")
    apart = splits_of(tmp_path / "pages/test", train_path=str(tmp_path / "pages/train"))
    assert blocks(both.train) == blocks(apart.train)
    assert blocks(both.test) == blocks(apart.test)
    assert dataset_of(str(tmp_path / "pages")).name == dataset_of(str(tmp_path / "pages/test")).name == "docbank"
    whole = splits_of(tmp_path / "pages/test", train_path=str(data / "docbank"))
    assert whole.leaked == 6
    assert not set(names(whole.train)) & set(names(whole.test))
    with pytest.raises(InputError, match=r"docbank: no train split; give .* with --train_path"):
        splits_of(data / "docbank")


@pytest.fixture
def with_images(write_pages):
    folder = write_pages(train=5, test=4)
    for path in folder.glob("*/*.json"):
        path.with_suffix(".png").write_text(path.stem)  # nothing here reads it
    rewrite(folder, "train", lambda row: row.update(pdf_cells=[[], *row["pdf_cells"][1:]]))
    return folder


def test_the_data_that_is_kept_of_a_page(with_images):
    """Each page is passed once, while pages stream, with its image and without blocks that have no text."""
    seen, waiting = [], []

    def keep(page):
        assert not waiting  # the page before has been given back
        assert all(block.text for block in page.blocks)
        assert page.image.is_relative_to(with_images)
        seen.append(f"{page.image.parent.name}{int(page.image.stem)}")
        return replace(page, image=len(seen) - 1)

    splits = splits_of(with_images, keep)
    assert seen == [f"test{number}" for number in range(4)] + [f"train{number}" for number in range(5)]
    for pages in (splits.train, splits.validation, splits.test):
        assert [seen[page.image] for page in pages] == names(pages)
    assert blocks(splits.train) == blocks(splits_of(with_images).train)
    assert len(splits.train[0].blocks) == 7
    without = splits_of(with_images)
    assert {page.image for page in without.train + without.test} == {None}
    seen.clear()
    limited = splits_of(with_images, keep, limit=9)  # of four pages of eight blocks
    assert [name for name in seen if name.startswith("test")] == ["test0", "test1"]
    assert [len(page.blocks) for page in limited.test] == [8, 8]  # whole: only without images is the last page cut
    assert [page.image for page in limited.test] == [0, 1]
    source = source_of("doclaynet", str(with_images))
    read = read_split(source, source.path, "test", "--dataset_path", lambda page: page, limit=9)
    assert [page.image is None for page in read.pages] == [False, False, True, True]  # images are not kept in memory


def test_pages_without_text_are_counted(with_images):
    def empty(row):
        if row["metadata"]["page_hash"] in ("train2", "test0", "test3"):
            row.update(pdf_cells=[[] for _ in row["pdf_cells"]])

    for split in ("train", "test"):
        rewrite(with_images, split, empty)
    called = []
    splits = splits_of(with_images, lambda page: called.append(page) or page)
    assert splits.blank == {"train": 1, "test": 2}
    assert len(called) == 4 + 2
    assert sum(splits.dropped.values()) == 16
    assert splits_of(with_images, validation_split="test").blank == {"train": 1, "test": 2}


def test_a_missing_image(with_images):
    (with_images / "train/003.png").unlink()
    with pytest.raises(InputError, match=r"train/003\.json: no image of this page"):
        splits_of(with_images, lambda page: page)
    assert len(splits_of(with_images).train) == 4


def rewrite(folder, split, change):
    for path in (folder / split).glob("*.json"):
        row = json.loads(path.read_text())
        change(row)
        path.write_text(json.dumps(row))


@pytest.mark.parametrize(
    "split, change, message",
    [
        ("test", lambda row: row.update(pdf_cells=[[] for _ in row["pdf_cells"]]), "no test block with text"),
        ("train", lambda row: row.update(pdf_cells=[[] for _ in row["pdf_cells"]]), "no train block with text"),
        ("train", lambda row: row.update(category_id=[12] * len(row["bboxes"])), "label 12, expected 1 to 11"),
        ("test", lambda row: row["metadata"].update(page_hash="one"), "a page occurs twice"),
    ],
)
def test_refused_pages(write_pages, split, change, message):
    folder = write_pages(train=3, test=2)
    rewrite(folder, split, change)
    with pytest.raises(InputError, match=message):
        splits_of(folder)


@pytest.mark.parametrize("limit", [0, 3])
def test_of_one_train_page_none_is_held_out(write_pages, capsys, limit):
    """Then the test split is the only other one, and a line says that it is used."""
    splits = splits_of(write_pages(train=1), limit=limit)
    assert names(splits.train) == ["train0"]
    assert blocks(splits.validation) == blocks(splits.test) != []
    said = "one train page with text: the checkpoint is chosen on the test pages (--validation_split)\n"
    assert capsys.readouterr().out == said


def test_refused_splits(write_pages):
    with pytest.raises(InputError, match=r"no dev split \(--validation_split\)"):
        splits_of(write_pages(), validation_split="dev")
    with pytest.raises(InputError, match=r"no dev split \(--test_split\)"):
        splits_of(write_pages(), test_split="dev")
    folder = write_pages()
    shutil.rmtree(folder / "test")
    with pytest.raises(InputError, match="no test split"):
        splits_of(folder)


@pytest.mark.parametrize(
    "options", [{"limit": -1}, {"train_pages": -1}, {"validation_fraction": 1.0}, {"test_split": ""}]
)
def test_refused_options(options):
    with pytest.raises(InputError, match=f"--{next(iter(options))}"):
        PageOptions(**options)
