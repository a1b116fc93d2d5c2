"""What a data set of pages holds: pages, blocks, classes and lengths of each split, as tables and figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from tqdm import tqdm

from documents.boxes import SEGMENT, check_boxes_flag
from documents.pages import Source
from documents.sources import source_of
from evaluate.report.charts import LINE, POINTS, WIDTH, legend, mark
from evaluate.report.style import drawing, label, series
from evaluate.report.svg import save
from preprocess.errors import InputError
from preprocess.files import PathFlag, check_writable, write_bytes
from preprocess.pages import dataset_of_size
from preprocess.units import check_unit

SPLITS = ("train", "validation", "test")
LENGTHS = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, None))  # words of a block, from and to


@dataclass(frozen=True)
class ExploreConfig:
    """Count what a data set of pages holds, and draw it.

    Args:
        dataset: funsd, doclaynet (DocBank's folders too) or annotations.
        dataset_path: A hub id, or a folder of the data set; default that of the data set on the hub.
        output_dir: The folder to write: exploration.md, and figures as SVG.
        dataset_size: small, base or large: that of DocLayNet's parts on the hub, instead of --dataset_path.
        box_unit: What boxes are told in: pixels, percent, 0..1000 or 0..1; default pixels, of rows and DocBank 0..1000.
        boxes: Whose box a word has: that of its segment (segment) or its own (word).
    """

    dataset: str = "doclaynet"
    dataset_path: PathFlag = ""
    output_dir: PathFlag = "results/exploration"
    dataset_size: str = ""
    box_unit: str = ""
    boxes: str = SEGMENT

    def __post_init__(self) -> None:
        check_unit(self.box_unit)
        check_boxes_flag(self.boxes)
        dataset_of_size(self.dataset_size, self.dataset_path)


@dataclass
class Counts:
    """What one split holds.

    Args:
        blocks: Of each page with text.
        words: Of each block with text, by class.
        empty: Blocks without text.
    """

    blocks: list[int] = field(default_factory=list)
    words: dict[str, list[int]] = field(default_factory=dict)
    empty: int = 0

    def lengths(self) -> list[int]:
        return [length for found in self.words.values() for length in found]


def explore(config: ExploreConfig) -> None:
    """Read every split, write tables and figures, and show the tables."""
    folder = Path(config.output_dir)
    check_writable(folder / "exploration.md", "--output_dir")
    path = dataset_of_size(config.dataset_size, config.dataset_path)
    source = source_of(config.dataset, path, config.box_unit, config.boxes)
    found = {split: counts for split in SPLITS if (counts := count_split(source, split)) is not None}
    if not any(counts.blocks for counts in found.values()):
        raise InputError(f"{source.path}: no page with text in it (--dataset_path)")
    classes = {
        split: {word: len(counts.words.get(word, ())) for word in source.label_words} for split, counts in found.items()
    }
    lengths = {split: by_length(counts.lengths()) for split, counts in found.items()}
    with drawing():
        for name, counts in (("classes", classes), ("words_of_a_block", lengths)):
            write_bytes(folder / f"{name}.svg", save(draw_shares(counts, name.replace("_", " ")), "svg"))
    text = "\n".join([*split_table(found), "", *class_table(found, source.label_words), ""])
    write_bytes(folder / "exploration.md", f"# {source.table_name}\n\n{text}".encode())
    print(f"{text}written to {folder}")


def count_split(source: Source, split: str) -> Counts | None:
    """Of a split; None where there is none of that name."""
    pages = source.read(source.path, split, "--dataset_path", False)
    if pages is None:
        return None
    counts = Counts()
    for page in tqdm(pages, desc=f"{split} pages", unit="page", disable=None):
        texts = [block for block in page.blocks if block.text]
        counts.empty += len(page.blocks) - len(texts)
        if texts:
            counts.blocks.append(len(texts))
        for block in texts:
            counts.words.setdefault(block.label_word, []).append(len(block.text.split()))
    return counts


def by_length(lengths: Sequence[int]) -> dict[str, int]:
    """How many blocks have how many words."""
    made = Counter(next(place for place, (_, last) in enumerate(LENGTHS) if not last or n <= last) for n in lengths)
    return {length_name(place): made[place] for place in range(len(LENGTHS))}


def length_name(place: int) -> str:
    first, last = LENGTHS[place]
    return str(first) if first == last else f"{first} to {last}" if last else f"{first} and more"


def split_table(found: dict[str, Counts]) -> list[str]:
    lines = ["| split | pages | blocks | without text | blocks a page | words a block | longest |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for split, counts in found.items():
        lengths = counts.lengths()
        if lengths:
            figures = (len(counts.blocks), len(lengths), counts.empty, f"{median(counts.blocks):g}")
            lines.append(f"| {split} | {' | '.join(map(str, figures))} | {median(lengths):g} | {max(lengths)} |")
    return [*lines, "", "Blocks a page and words a block are medians."]


def class_table(found: dict[str, Counts], label_words: Sequence[str]) -> list[str]:
    lines = [f"| class | {' | '.join(found)} | share | words a block |", f"|---|{'---:|' * (len(found) + 2)}"]
    total = sum(len(counts.lengths()) for counts in found.values())
    for word in label_words:
        own = [counts.words.get(word, []) for counts in found.values()]
        lengths = [length for part in own for length in part]
        middle = f"{median(lengths):g}" if lengths else "-"
        share = f"{len(lengths) / total:.3f}"
        lines.append(f"| {word} | {' | '.join(str(len(part)) for part in own)} | {share} | {middle} |")
    return lines


def draw_shares(counts: dict[str, dict[str, int]], title: str) -> Figure:
    """One row for each kind of block, with a mark for each split at its share of the split's blocks."""
    kinds = list(next(iter(counts.values())))
    height = (LINE * len(kinds) + 60) / POINTS
    figure = Figure(figsize=(WIDTH / POINTS, height), layout="constrained")
    axes = figure.subplots()
    for own, style in zip(counts.values(), series(), strict=False):
        shares = [count / max(1, sum(own.values())) for count in own.values()]
        mark(axes, shares, range(len(kinds)), style)
    axes.set_yticks(range(len(kinds)), [label(kind) for kind in kinds])
    axes.set_ylim(len(kinds) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(f"{title}: share of the blocks of a split")
    legend(figure, axes.lines, list(counts))
    return figure
