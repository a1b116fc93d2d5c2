"""Encoding of texts and prompts, the same for all kinds of tokenizers."""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

from llama.prefix_tree import common_length
from llama.tokenizers.backend import Backend, open_backend

# Where a text is cut into pieces: next to characters that no normalizer treats as white space.
LINE_BREAK, SPACE = r"(?<=[\w!-~]\n)(?=[\w!-~])", r"(?<=[\w!-~])(?= [\w!-~])"
PIECE = 256  # minimum characters of a piece within a line
LEADS = ("x", "x\n")  # a piece is encoded after one of these, to get the ids that it has within a text
HEADS = 3  # last lines of a text that are encoded apart from what is before them, which other texts may share
PROBES = ("Aa:\nBb 1.\n(c) dé\n12 3 x\n'll y", "the rain, the (rain) 12 34 «é» 's\nend")


class Tokenizer:
    """Encodes texts, and prompts with their completions.

    Args:
        model: A file (a sentencepiece model, tiktoken's ranks or a tokenizer.json) or an opened backend.
        end_ids: Ids that end a generation; None: those of the backend.

    Raises:
        CheckpointError: The file is missing or is not a tokenizer.
    """

    def __init__(self, model: str | Path | Backend, end_ids: Collection[int] | None = None):
        self.backend: Backend = open_backend(Path(model)) if isinstance(model, str | Path) else model
        self.encode = lru_cache(maxsize=256)(self._encode)  # a prompt is encoded with every label word
        self.lead = lru_cache(maxsize=256)(self._lead)  # the requests of an example share one context object
        self.encode_piece = lru_cache(maxsize=2**14)(self._encode_piece)  # demonstrations recur in every example
        self.n_words = self.backend.n_words
        self.ids = tuple(range(self.n_words))  # one object for each id, because a test split has millions
        self.bos_id = self.backend.bos_id
        self.eos_id = self.backend.eos_id
        self.end_ids = self.backend.end_ids if end_ids is None else frozenset(end_ids)
        self.leads = {lead: len(self.encode_whole(lead)) for lead in ("", *LEADS)}
        self.lines, self.spaces = self.borders()
        self.keeps_space = self.decode(self.encode_pair("a", "a")[1]) == " a"

    def encode_whole(self, text: str) -> list[int]:
        """Ids of `text`, encoded in one piece."""
        return self.backend.encode(text)

    def borders(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        """Patterns of line and word boundaries at which a text can be cut without changing its ids.

        No token of the vocabulary spans such a boundary, so no merge crosses it. None: there is no such boundary.
        """
        tokens = self.backend.texts()
        if tokens is None:
            return None, None
        patterns: list[re.Pattern[str] | None] = []
        kept = "\n" in self.decode(self.encode_whole("x\nx"))  # some tokenizers replace it by a space
        for border, spanning in ((LINE_BREAK, r"\n\S" if kept else r"\S "), (SPACE, r"\S ")):
            spanned = any(map(re.compile(spanning).search, tokens))
            self.lines, self.spaces = None if spanned else re.compile(border), None
            self.encode.cache_clear()  # the cuts have changed
            same = all(self._encode(probe) == tuple(self.encode_whole(probe)) for probe in PROBES)
            patterns.append(self.lines if same else None)
        self.encode.cache_clear()
        return patterns[0], patterns[1]

    def _encode(self, text: str, heads: int = HEADS) -> tuple[int, ...]:
        """Ids of `text`, without BOS and EOS. A lone surrogate, which JSON allows, becomes U+FFFD.

        Args:
            heads: Lines at the end of the text that are encoded apart, so that what is before them, such as
                demonstrations, is encoded and cut only once for all texts that begin with it.
        """
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        border = self.last_line(text) if heads else 0
        head = self.encode(text[:border], heads - 1) if border else ()
        pieces = self.pieces(text[border:])
        first = () if border else self.encode_piece(next(pieces), "")
        later = (self.encode_piece(piece, LEADS[not piece.startswith(" ")]) for piece in pieces)
        return tuple(chain(head, first, *later))

    def last_line(self, text: str) -> int:
        """Where the last line begins at which `text` can be cut; 0 if there is none."""
        end = len(text)
        while self.lines is not None and (end := text.rfind("\n", 0, end)) > 0:
            if self.lines.match(text, end + 1):
                return end + 1
        return 0

    def pieces(self, text: str) -> Iterator[str]:
        """`text` cut into lines, and long lines into pieces of about 256 characters. The cuts do not depend on the text
        after them, so texts with a common prefix share pieces."""
        lines = [text] if self.lines is None else self.lines.split(text)
        for line in lines:
            start = 0
            while self.spaces is not None and len(line) - start > PIECE:
                border = self.spaces.search(line, start + PIECE)
                if border is None:
                    break
                yield line[start : border.start()]
                start = border.start()
            yield line[start:]

    def _encode_piece(self, piece: str, lead: str) -> tuple[int, ...]:
        """Ids of a piece of a text after `lead`, which gives all pieces but the first the boundary that they have in
        the text: a tokenizer may add a space before the first word of a text."""
        return tuple(map(self.ids.__getitem__, self.encode_whole(lead + piece)[self.leads[lead] :]))

    def _lead(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """`ids` after BOS. Without a BOS, an empty context becomes EOS, because a context must not be empty."""
        if self.bos_id is None:
            return ids or (self.eos_id,)
        return (self.bos_id, *ids)

    def encode_pair(
        self, prompt: str, completion: str, separator: str = " "
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Context and target ids of `prompt` followed by `completion`. The context begins with BOS if the tokenizer has
        one; EOS is not added.

        The two are encoded as one text and split where the prompt's own tokens end. Encoded separately, the completion
        would begin with a piece that does not occur in running text (lm-evaluation-harness issue 531). A piece that
        spans the boundary belongs to the completion. An empty completion has no target ids.

        Args:
            separator: The text between the two. A single space replaces spaces that are already there, because several
                would form a piece of their own. Any other separator is inserted unchanged.
        """
        if separator == " ":
            prompt, completion = prompt.rstrip(" "), completion.lstrip(" ")
            separator = " " if prompt else ""
        alone = self.encode(prompt)
        joint = self.encode(prompt + separator + completion) if completion else alone
        border = common_length(alone, joint[: len(alone)])
        return self.lead(joint[:border]), joint[border:]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of `tokens`, without special tokens."""
        return self.backend.decode(list(tokens))

    def decode_continuation(self, tokens: Sequence[int]) -> str:
        """Text of generated tokens, without the space after the prompt: with a byte-level tokenizer it is part of the
        first token, and sentencepiece removes it."""
        text = self.decode(tokens)
        return text.removeprefix(" ") if self.keeps_space else text
