"""Requests from a prompt, a text and label words: fields are filled and the text is encoded.

direct    prompt "... {text}\\nCategory:"          completion "{label_word}"     one request for each label word
channel   prompt "... {label_word}\\nArticle:"     completion "{text}"           one request for each label word
generate  prompt as for direct                    no completion                 one request

Only the last occurrence of a field is replaced, literally: braces in demonstrations and texts stay as they are. Code
below the request does not depend on the method.
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
        prompt, completion: Strings with their fields unfilled.
        separator: The text between the two, see `Tokenizer.encode_pair`.

    Returns:
        One request for each label word; for generate one with the context alone, without trailing spaces, because a
        space belongs to the next word's token.
    """
    if method == "channel":
        head, rest = tokenizer.open(prompt, LABEL_WORD)
        scored = fill(completion, TEXT, text)
        pairs = [(fill(rest, LABEL_WORD, word), scored) for word in label_words]
    else:
        head, rest = tokenizer.open(prompt, TEXT)
        given = fill(rest, TEXT, text)
        if method == "generate":
            pairs, separator = [(given + separator, "")], " "
        else:
            pairs = [(given, fill(completion, LABEL_WORD, word)) for word in label_words]
    return [Request(*tokenizer.encode_pair(*pair, separator, not head), head) for pair in pairs]


def fit(
    build: Callable[[str, Sequence[str]], list[Request]], text: str, label_words: Sequence[str], max_tokens: int
) -> tuple[list[Request] | None, bool]:
    """The requests with as many words of `text` as fit, and whether the text was cut.

    All label words get the same text, so the longest request determines the cut. The requests are None if even an empty
    text does not fit.

    Args:
        build: Makes the requests of a text with some label words.
        max_tokens: Maximum length of a request.
    """

    def fits(text: str, word: str) -> bool:
        return max(request.length for request in build(text, [word])) <= max_tokens

    word = label_words[0]
    if fits(text, word):
        built = build(text, label_words)
        lengths = [request.length for request in built]
        if max(lengths) <= max_tokens:
            return built, False
        word = label_words[lengths.index(max(lengths))]
    ends = [0, *(word.end() for word in re.finditer(r"\S+", text))]
    high = len(ends)
    while high:
        # `low` words fit with this label word, if any number does; `high` words do not. All words may fit once the
        # trailing white space is removed.
        low = 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(text[: ends[middle]], word) else (low, middle)
        built = build(text[: ends[low]], label_words)
        lengths = [request.length for request in built]
        if max(lengths) <= max_tokens:
            return built, True
        word, high = label_words[lengths.index(max(lengths))], low  # a longer one
    return None, True
