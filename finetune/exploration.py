"""Statistics of a data set of pages: pages, blocks, classes and lengths of each split, as tables and figures."""

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
    """Count pages, blocks, classes and lengths of a data set, as tables and figures.

    Args:
        dataset: funsd, doclaynet (also for DocBank's folders) or annotations.
        dataset_path: A hub id, or a folder of the data set; default the data set on the hub.
        output_dir: Output folder for exploration.md and figures as SVG.
        dataset_size: small, base or large: that part of DocLayNet on the hub, instead of --dataset_path.
        box_unit: Unit of the boxes: pixels, percent, 0..1000 or 0..1; default pixels, for rows and DocBank 0..1000.
        boxes: Box of each word: that of its segment (segment) or its own (word).
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
    """Counts of one split.

    Args:
        blocks: Number of blocks of each page with text.
        words: Class -> number of words of each of its blocks with text.
        empty: Number of blocks without text.
    """

    blocks: list[int] = field(default_factory=list)
    words: dict[str, list[int]] = field(default_factory=dict)
    empty: int = 0

    def lengths(self) -> list[int]:
        """Number of words of each block with text."""
        return [length for lengths in self.words.values() for length in lengths]


def explore(config: ExploreConfig) -> None:
    """Read every split, write tables and figures, and print the tables."""
    folder = Path(config.output_dir)
    check_writable(folder / "exploration.md", "--output_dir")
    path = dataset_of_size(config.dataset_size, config.dataset_path)
    source = source_of(config.dataset, path, config.box_unit, config.boxes)
    splits = {split: counts for split in SPLITS if (counts := count_split(source, split)) is not None}
    if not any(counts.blocks for counts in splits.values()):
        raise InputError(f"{source.path}: no page with text in it (--dataset_path)")
    classes = {
        split: {word: len(counts.words.get(word, ())) for word in source.label_words}
        for split, counts in splits.items()
    }
    lengths = {split: by_length(counts.lengths()) for split, counts in splits.items()}
    with drawing():
        for name, counts in (("classes", classes), ("words_of_a_block", lengths)):
            write_bytes(folder / f"{name}.svg", save(draw_shares(counts, name.replace("_", " ")), "svg"))
    text = "\n".join([*split_table(splits), "", *class_table(splits, source.label_words), ""])
    write_bytes(folder / "exploration.md", f"# {source.table_name}\n\n{text}".encode())
    print(f"{text}written to {folder}")


def count_split(source: Source, split: str) -> Counts | None:
    """The counts of a split; None if there is no such split."""
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
    """Range of lengths -> number of blocks."""
    counts = Counter(next(place for place, (_, last) in enumerate(LENGTHS) if not last or n <= last) for n in lengths)
    return {length_name(place): counts[place] for place in range(len(LENGTHS))}


def length_name(place: int) -> str:
    """Name of a range of LENGTHS, such as "3 to 5"."""
    first, last = LENGTHS[place]
    return str(first) if first == last else f"{first} to {last}" if last else f"{first} and more"


def split_table(splits: dict[str, Counts]) -> list[str]:
    """Lines of Markdown: pages, blocks and lengths of each split."""
    lines = ["| split | pages | blocks | without text | blocks per page | words per block | longest |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for split, counts in splits.items():
        lengths = counts.lengths()
        if lengths:
            figures = (len(counts.blocks), len(lengths), counts.empty, f"{median(counts.blocks):g}")
            lines.append(f"| {split} | {' | '.join(map(str, figures))} | {median(lengths):g} | {max(lengths)} |")
    return [*lines, "", "Blocks per page and words per block are medians."]


def class_table(splits: dict[str, Counts], label_words: Sequence[str]) -> list[str]:
    """Lines of Markdown: blocks of each class in each split, with share and median length."""
    lines = [f"| class | {' | '.join(splits)} | share | words per block |", f"|---|{'---:|' * (len(splits) + 2)}"]
    total = sum(len(counts.lengths()) for counts in splits.values())
    for word in label_words:
        own = [counts.words.get(word, []) for counts in splits.values()]
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
