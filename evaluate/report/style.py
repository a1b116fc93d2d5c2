"""Style of the page and its figures: colours in light and dark mode, colour and mark of each method.

Colour never carries information alone: a mark, a number or a position carries it too. The palette is safe for the
colour-blind (after Okabe and Ito 2008). Contrast with the background is at least 3:1, that of text 4.5:1.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import matplotlib
from matplotlib import font_manager
from matplotlib.colors import LinearSegmentedColormap

from evaluate.methods import Method
from evaluate.registry import KINDS

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LONGEST_LABEL = 28  # characters in a figure; tables have the whole name
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Thai",
)


class Colour(NamedTuple):
    """A colour in light mode, and in files, and in dark mode."""

    light: str
    dark: str


class Style(NamedTuple):
    """How a method is drawn.

    Args:
        colour: A name in MARK_COLOURS.
        mark: Marker, as in matplotlib.
    """

    colour: str
    mark: str


MARK_COLOURS = {
    "blue": Colour("#0072b2", "#56a9e8"),
    "vermilion": Colour("#c65300", "#f0894a"),
    "green": Colour("#00855f", "#3dbd92"),
    "purple": Colour("#a04a85", "#d58bc0"),
    "ochre": Colour("#8a6a00", "#d3ae3d"),
    "slate": Colour("#4b5563", "#a6b0bd"),
    "teal": Colour("#0e7490", "#4cc2d8"),
    "red": Colour("#9f2f3f", "#f08c96"),
    "violet": Colour("#5546b0", "#ab9ff2"),
    "brown": Colour("#75482a", "#cfa27c"),
    "moss": Colour("#5c6b12", "#b4c653"),
    "night": Colour("#27303b", "#e3e7ec"),
}
COLOURS = MARK_COLOURS | {
    "paper": Colour("#ffffff", "#14171b"),
    "raised": Colour("#f6f7f9", "#1c2026"),
    "ink": Colour("#1b1f24", "#e6e9ed"),
    "quiet": Colour("#545c66", "#a6afba"),
    "rule": Colour("#d9dee4", "#363d47"),
    "link": Colour("#0a5c96", "#7cbcf0"),
    "right": Colour("#006b4c", "#5fcfa4"),
    "wrong": Colour("#a8320a", "#ff9d76"),
    "shown": Colour("#fff1b8", "#4d4215"),
    "best": Colour("#eaf3fb", "#182a3a"),
    "frame": Colour("#f2f4f7", "#1e2228"),
    "heat": Colour("#0b5d97", "#5090c8"),
    "on-frame": Colour("#000000", "#ffffff"),
    "on-heat": Colour("#fefefe", "#000000"),
}  # light values are distinct: they identify the colours in what matplotlib has drawn
MARKS = ("o", "s", "^", "D", "v", "P", "p", "X", "H", "<", ">", "*")
LEVELS = 20  # steps of colour of a cell
TURN = 0.8  # from this share on, on-heat has more contrast with a cell than on-frame


def styles_of(methods: Sequence[Method]) -> dict[str | None, Style]:
    """Style of each method name. Registered methods have their own; variants and other systems get unused colours and
    marks, and share them if there are too many."""
    known = {kind.name: Style(kind.colour, kind.mark) for kind in KINDS.values()}
    names = list(dict.fromkeys(method.name for method in methods))
    used = {known[name].colour for name in names if name in known}
    free = sorted(MARK_COLOURS, key=lambda colour: colour in used)
    others = series(free)
    return {name: known.get(name) or next(others) for name in names}


def series(colours: Sequence[str] = tuple(MARK_COLOURS)) -> Iterator[Style]:
    """Endless styles of things that are not in the registry: all colours, then all of them with other marks."""
    return itertools.cycle(
        Style(colour, MARKS[(place + turn) % len(MARKS)])
        for turn in range(len(MARKS))
        for place, colour in enumerate(colours, 5)
    )


def light(name: str) -> str:
    """A named colour on a light page."""
    return COLOURS[name].light


def plain(text: str) -> str:
    """`text` on one line, without characters that XML forbids."""
    return " ".join(NOT_IN_XML.sub("\ufffd", text).split())


def label(text: str) -> str:
    """`text` cut to the room in a figure."""
    line = plain(text)
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1].rstrip() + "…"


def heat_map() -> LinearSegmentedColormap:
    """Colour map of confusion matrices, from share 0 to 1."""
    return LinearSegmentedColormap.from_list("heat", [light("frame"), light("heat")], LEVELS + 1)


def drawing() -> AbstractContextManager[None]:
    """Context in which figures are drawn and saved."""
    return matplotlib.rc_context(settings())


def settings() -> dict[str, Any]:
    """matplotlib's rcParams: light axes, no math in texts, reproducible files."""
    installed = set(font_manager.get_font_names())
    quiet, rule = light("quiet"), light("rule")
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "report",
        "pdf.fonttype": 42,
        "text.parse_math": False,
        "text.color": light("ink"),
        "font.family": [font for font in FONTS if font in installed] or ["sans-serif"],
        "font.size": 9,
        "axes.edgecolor": rule,
        "axes.facecolor": "none",
        "axes.labelcolor": quiet,
        "axes.labelsize": 8.5,
        "axes.linewidth": 0.75,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "figure.facecolor": "none",
        "grid.color": rule,
        "grid.linewidth": 0.75,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "xtick.color": quiet,
        "ytick.color": quiet,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 9,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "errorbar.capsize": 2.5,
        "lines.markersize": 5,
        "lines.linewidth": 1.3,
        "hatch.linewidth": 0.8,
    }
