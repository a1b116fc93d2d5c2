"""The kinds of results: one entry a method, which says how tables and figures show it."""

from typing import NamedTuple


class Kind(NamedTuple):
    """How a method is shown. What a colour says, the mark says too.

    Args:
        name: In tables.
        colour: Of its marks and lines; those of this file are told apart by the colour-blind (Okabe and Ito 2008).
        mark: As matplotlib writes markers.
    """

    name: str
    colour: str
    mark: str


# In the order of tables. The keys are the `method` of meta files.
KINDS = {
    "direct": Kind("direct", "#0072b2", "o"),
    "direct_calibrate": Kind("calibrated", "#e69f00", "s"),
    "channel": Kind("channel", "#009e73", "^"),
    "channel_calibrate": Kind("channel calibrated", "#56b4e9", "v"),
    "generate": Kind("generate", "#cc79a7", "D"),
    "llama_lora": Kind("LLaMA LoRA", "#d55e00", "P"),
    "layoutlmv3": Kind("LayoutLMv3", "#8c564b", "X"),
    "majority": Kind("majority", "#7f7f7f", "_"),
    "tfidf": Kind("TF-IDF", "#999933", "*"),
}
OTHER_COLOUR, OTHER_MARK = "#7f7f7f", "."


def kind_of(method: str | None) -> Kind | None:
    """The entry of a method; one that is not known goes by its own name, and looks like all others of that sort."""
    if method is None:
        return None
    return KINDS.get(method, Kind(method, OTHER_COLOUR, OTHER_MARK))


def order_of(method: str | None) -> int:
    """Its place in tables; what is not known comes last."""
    return list(KINDS).index(method) if method in KINDS else len(KINDS)
