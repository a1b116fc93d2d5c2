"""From a prompt, a text and label words to requests: fields filled, text encoded.

direct    prompt "... {text}\\nCategory:"          completion "{label_word}"     one request a label word
channel   prompt "... {label_word}\\nArticle:"     completion "{text}"           one request a label word
generate  prompt as for direct                    no completion                 one request

Only the last occurrence of a field is one, and it is filled by plain replacement: braces in a demonstration or in a
text are text. Below the request nothing knows the method.
"""

import re
from collections.abc import Callable, Sequence

from llama.scoring import Request
from llama.templates import LABEL_WORD, TEXT, fill
from llama.tokenizer import Tokenizer


def build_requests(
    method: str,
    tokenizer: Tokenizer,
    prompt: str,
    completion: str,
    text: str,
    label_words: Sequence[str],
    separator: str = " ",
) -> list[Request]:
    """The requests of one text.

    Args:
        method: direct, channel or generate.
        prompt, completion: With their fields open.
        separator: Stands between the two, see `Tokenizer.encode_pair`.

    Returns:
        One request a label word; for generate the context alone, which ends before the spaces of the separator: a space
        belongs to the word that follows it.
    """
    if method == "generate":
        return [Request(*tokenizer.encode_pair(fill(prompt, TEXT, text) + separator, ""))]
    if method == "direct":
        given = fill(prompt, TEXT, text)
        pairs = [(given, fill(completion, LABEL_WORD, word)) for word in label_words]
    else:
        scored = fill(completion, TEXT, text)
        pairs = [(fill(prompt, LABEL_WORD, word), scored) for word in label_words]
    return [Request(*tokenizer.encode_pair(*pair, separator)) for pair in pairs]


def length(request: Request) -> int:
    return len(request.context) + len(request.target)


def fit(
    build: Callable[[str, Sequence[str]], list[Request]], text: str, label_words: Sequence[str], max_tokens: int
) -> tuple[list[Request] | None, bool]:
    """The requests with as many words of `text` as fit, and whether words were cut; None where not even none fits.

    One cut for all label words, so that they are compared on the same text: the longest decides.

    Args:
        build: Gives the requests of a text with some label words.
    """

    def fits(text: str, word: str) -> bool:
        return max(map(length, build(text, [word]))) <= max_tokens

    word = label_words[0]
    if fits(text, word):
        built = build(text, label_words)
        lengths = list(map(length, built))
        if max(lengths) <= max_tokens:
            return built, False
        word = label_words[lengths.index(max(lengths))]
    ends = [0, *(word.end() for word in re.finditer(r"\S+", text))]
    high = len(ends)
    while high:
        # `low` words fit with this label word, if any number does; `high` do not. All of them may: without the white
        # space at the end.
        low = 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(text[: ends[middle]], word) else (low, middle)
        built = build(text[: ends[low]], label_words)
        lengths = list(map(length, built))
        if max(lengths) <= max_tokens:
            return built, True
        word, high = label_words[lengths.index(max(lengths))], low  # a longer one
    return None, True
