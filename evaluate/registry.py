"""The kinds of results: how tables and figures show each method."""

from typing import NamedTuple


class Kind(NamedTuple):
    """How a method is shown. Colour and mark carry the same information.

    Args:
        name: Name in tables.
        colour: Colour of its marks and lines, a name in `evaluate.report.style.MARK_COLOURS`.
        mark: Marker, as in matplotlib.
    """

    name: str
    colour: str
    mark: str


# In the order of tables. The keys are the `method` of meta files.
KINDS = {
    "direct": Kind("direct", "blue", "o"),
    "direct_calibrate": Kind("calibrated", "vermilion", "s"),
    "channel": Kind("channel", "green", "^"),
    "channel_calibrate": Kind("channel calibrated", "purple", "D"),
    "generate": Kind("generate", "ochre", "v"),
    "llama_lora": Kind("LLaMA LoRA", "violet", "P"),
    "layoutlmv3": Kind("LayoutLMv3", "red", "p"),
    "majority": Kind("majority", "slate", "X"),
    "tfidf": Kind("TF-IDF", "teal", "H"),
}


def name_of(method: str | None) -> str | None:
    """The name of a method in tables; an unknown method keeps its own."""
    return KINDS[method].name if method in KINDS else method


def order_of(method: str | None) -> int:
    """Index of a method in tables; unknown methods come last."""
    return list(KINDS).index(method) if method in KINDS else len(KINDS)
