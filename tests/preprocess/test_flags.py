"""Every flag of the scripts that write prompts, alone and in pairs, on minimal data."""

from dataclasses import replace
from pathlib import Path

import pytest

from preprocess import ag_news, doclaynet
from preprocess.ag_news import AgNewsConfig
from preprocess.doclaynet import DocLayNetConfig
from preprocess.tables import PreprocessConfig, preprocess_config
from tests.flags import Walk

TEXTS = ("rain stopped play", "the market fell", "a new comet", "votes are counted")
FILMS = """dataset: films
path: films
text: text
label: label
label_words: [Bad, Good]
template: |
  Film: {text}
  Verdict: {label_word}
"""
EXAMPLES = {
    "sample": [True, False],
    "data_path": ["{new}/x.json"],
    "k": [0, 1, 2],
    "seed": [0, 7, 2**63 - 1],
    "order": [0, 1, 2],
    "limit": [0, 1, 3, 10**9],
    "shuffle": [0, 5],
}
LONE = {"k": "0"}  # nothing to draw from
NEWS = Walk(
    "preprocess_direct_ag_news",
    AgNewsConfig,
    ag_news.preprocess_direct,
    {"data_path": "{new}.json", "dataset_path": "news"},
    EXAMPLES
    | {
        "dataset_path": ["news", "news/test.csv", "counted"],
        "demonstrations": ["news", "news/train.csv"],
        "first_label": [0, 1],
    },
    {"first_label=1": {"dataset_path": "news"}, "dataset_path=news/test.csv": LONE}
    | {"first_label=0": {"dataset_path": "counted"}, "dataset_path=counted": LONE | {"first_label": "0"}}
    | {"demonstrations": {"dataset_path": "news"}},
)
PAGES = Walk(
    "preprocess_direct_doclaynet",
    DocLayNetConfig,
    doclaynet.preprocess_direct,
    {"data_path": "{new}.json", "dataset_path": "pages"},
    EXAMPLES
    | {
        "dataset_path": ["pages", "samples/doclaynet"],
        "demonstrations": ["pages", "pages/train"],
        "train_pages": [30, 10**6],
        "max_demo_words": [1, 5],
        "box_unit": ["pixels"],
    },
    {"dataset_path=samples/doclaynet": LONE},
    elsewhere={"dataset_size": "reads the hub: tests/preprocess/test_pages.py"},
)
YAML = Walk(
    "preprocess",
    PreprocessConfig,
    preprocess_config,
    {"data_path": "{new}.json", "config": "films.yaml", "dataset_path": "films"},
    EXAMPLES
    | {
        "config": ["films.yaml", "samples/datasets/ag_news.yaml"],
        "method": ["direct", "channel"],
        "dataset_path": ["films", "films/test.csv"],
        "demonstrations": ["films", "films/train.csv"],
        "first_label": [0, 1],
    },
    {"dataset_path=films/test.csv": {"demonstrations": "films/train.csv"}}
    | {"config=samples/datasets/ag_news.yaml": {"dataset_path": "samples/ag_news", "first_label": "1"}}
    | {"first_label=1": {"config": "samples/datasets/ag_news.yaml", "dataset_path": "samples/ag_news"}},
    [("config=samples/datasets/ag_news.yaml", "demonstrations")],
)
CHANNEL = {NEWS.script: ag_news.preprocess_channel, PAGES.script: doclaynet.preprocess_channel}
WALKS = pytest.mark.parametrize("walk", [NEWS, PAGES, YAML], ids=lambda walk: walk.script)


@pytest.fixture
def folder(tmp_path: Path, root: Path, pages: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the flags name, in the working directory."""
    for name, first, classes in (("news", 1, 4), ("counted", 0, 3), ("films", 0, 2)):
        (tmp_path / name).mkdir()
        for split in ("train", "test"):
            rows = "".join(
                f"{first + place % classes},{split} {TEXTS[place % 4]} {place}\n" for place in range(4 * classes)
            )
            (tmp_path / name / f"{split}.csv").write_text("label,text\n" + rows)
    (tmp_path / "films.yaml").write_text(FILMS)
    (tmp_path / "pages").symlink_to(pages)
    (tmp_path / "samples").symlink_to(root / "samples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@WALKS
def test_every_value_alone(walk: Walk, folder: Path):
    walk.check()
    walk.run(walk.alone())


@WALKS
def test_every_pair(walk: Walk, folder: Path):
    walk.run(walk.covering())
    if walk.script in CHANNEL:  # the same flags
        replace(walk, function=CHANNEL[walk.script]).run(walk.alone())
