"""Which pages are trained on, chosen on, tested on."""

import json
import shutil

import pytest

from finetune.pages import PageOptions, dataset_of, read_splits
from preprocess.errors import InputError


def blocks(pages):
    return [block.id for page in pages for block in page]


def test_splits(pages):
    splits = read_splits(PageOptions(str(pages)), seed=0)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (11, 1, 4)
    assert not set(blocks(splits.train)) & set(blocks(splits.validation))
    assert blocks(read_splits(PageOptions(str(pages)), seed=0).validation) == blocks(splits.validation)
    assert blocks(read_splits(PageOptions(str(pages), limit=10), seed=0).test) == blocks(splits.test)[:10]
    few = read_splits(PageOptions(str(pages), train_pages=4, validation_fraction=0.5), seed=0)
    assert (len(few.train), len(few.validation)) == (2, 2)
    named = read_splits(PageOptions(str(pages), validation_split="test"), seed=0)
    assert blocks(named.validation) == blocks(splits.test)


def test_ids_are_those_of_the_prompts(root):
    """Blocks without text are in neither, and are counted."""
    splits = read_splits(PageOptions(str(root / "samples/doclaynet")), seed=42)
    prompts = json.loads((root / "samples/inputs_direct_doclaynet.json").read_text())
    meta = json.loads((root / "samples/inputs_direct_doclaynet.meta.json").read_text())
    assert blocks(splits.test) == [prompt["id"] for prompt in prompts]
    assert splits.dropped == meta["dropped_without_text"]


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
    """A folder of DocBank has a test split alone; train and test folders of its files, or --train_path, make two."""
    files = sorted((data / "docbank/txt").glob("*.txt"))[:12]
    for number, file in enumerate(files):
        folder = tmp_path / "pages" / ("test" if number % 2 else "train")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
    both = read_splits(PageOptions(str(tmp_path / "pages")), seed=0)
    apart = read_splits(PageOptions(str(tmp_path / "pages/test"), train_path=str(tmp_path / "pages/train")), seed=0)
    assert blocks(both.train) == blocks(apart.train)
    assert blocks(both.test) == blocks(apart.test)
    assert dataset_of(str(tmp_path / "pages")).name == dataset_of(str(tmp_path / "pages/test")).name == "docbank"
    whole = read_splits(PageOptions(str(tmp_path / "pages/test"), train_path=str(data / "docbank")), seed=0)
    assert whole.leaked == 6
    assert not {page[0].page for page in whole.train} & {page[0].page for page in whole.test}
    with pytest.raises(InputError, match=r"docbank: no train split in it; name .* with --train_path"):
        read_splits(PageOptions(str(data / "docbank")), seed=0)


def rewrite(folder, split, change):
    for path in (folder / split).glob("*.json"):
        row = json.loads(path.read_text())
        change(row)
        path.write_text(json.dumps(row))


@pytest.mark.parametrize(
    "split, change, message",
    [
        ("test", lambda row: row.update(pdf_cells=[[] for _ in row["pdf_cells"]]), "no test block with text in it"),
        ("train", lambda row: row.update(pdf_cells=[[] for _ in row["pdf_cells"]]), "no train block with text in it"),
        ("train", lambda row: row.update(category_id=[12] * len(row["bboxes"])), "label 12, expected 1 to 11"),
        ("test", lambda row: row["metadata"].update(page_hash="one"), "a page stands there twice"),
    ],
)
def test_refused_pages(write_pages, split, change, message):
    folder = write_pages(train=3, test=2)
    rewrite(folder, split, change)
    with pytest.raises(InputError, match=message):
        read_splits(PageOptions(str(folder)), seed=0)


def test_refused_splits(write_pages):
    with pytest.raises(InputError, match="one train page with text"):
        read_splits(PageOptions(str(write_pages(train=1))), seed=0)
    with pytest.raises(InputError, match=r"no dev split in it \(--validation_split\)"):
        read_splits(PageOptions(str(write_pages()), validation_split="dev"), seed=0)
    folder = write_pages()
    shutil.rmtree(folder / "test")
    with pytest.raises(InputError, match="no test split in it"):
        read_splits(PageOptions(str(folder)), seed=0)


@pytest.mark.parametrize("options", [{"limit": -1}, {"train_pages": -1}, {"validation_fraction": 1.0}])
def test_refused_options(options):
    with pytest.raises(InputError, match=f"--{next(iter(options))}"):
        PageOptions(**options)
