"""Text to token ids and back: what all kinds of tokenizers share."""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

from llama.prefix_tree import common_length
from llama.tokenizers.backend import Backend, open_backend

# Where a text is cut into pieces: between characters that no normalizer takes for white space.
LINE_BREAK, SPACE = r"(?<=[\w!-~]\n)(?=[\w!-~])", r"(?<=[\w!-~])(?= [\w!-~])"
PIECE = 256  # characters of a piece within a line, at least
LEADS = ("x", "x\n")  # what a piece is encoded after, to have the ids that it has within a text
PROBES = ("Aa:\nBb 1.\n(c) dé\n12 3 x\n'll y", "the rain, the (rain) 12 34 «é» 's\nend")


class Tokenizer:
    """Encodes texts, and prompts with their completions.

    Args:
        model: A file - a sentencepiece model, tiktoken's ranks, a tokenizer.json - or what was made of one.
        end_ids: Each ends a generation; None: as the kind of tokenizer has them.

    Raises:
        CheckpointError: The file is missing or is no tokenizer.
    """

    def __init__(self, model: str | Path | Backend, end_ids: Collection[int] | None = None):
        self.backend: Backend = open_backend(Path(model)) if isinstance(model, str | Path) else model
        self.encode = lru_cache(maxsize=256)(self._encode)  # prompts come back with every label word
        self.lead = lru_cache(maxsize=256)(self._lead)  # so do contexts: the requests of an example hold one
        self.encode_piece = lru_cache(maxsize=2**14)(self._encode_piece)  # demonstrations: with every example
        self.n_words = self.backend.n_words
        self.ids = tuple(range(self.n_words))  # one object an id: requests of a whole test split hold millions
        self.bos_id = self.backend.bos_id
        self.eos_id = self.backend.eos_id
        self.end_ids = self.backend.end_ids if end_ids is None else frozenset(end_ids)
        self.leads = {lead: len(self.encode_whole(lead)) for lead in ("", *LEADS)}
        self.lines, self.spaces = self.borders()
        self.keeps_space = self.decode(self.encode_pair("a", "a")[1]) == " a"

    def encode_whole(self, text: str) -> list[int]:
        """Ids of `text`, by the tokenizer itself."""
        return self.backend.encode(text)

    def borders(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        """Where a text may be cut so that its pieces have the ids of the whole: between lines, between words.

        A border is one that no token of the vocabulary spans: then no merge crosses it. None where there is no such
        border.
        """
        tokens = self.backend.texts()
        if tokens is None:
            return None, None
        found: list[re.Pattern[str] | None] = []
        kept = "\n" in self.decode(self.encode_whole("x\nx"))  # some tokenizers make a space of it
        for border, spanning in ((LINE_BREAK, r"\n\S" if kept else r"\S "), (SPACE, r"\S ")):
            spanned = any(map(re.compile(spanning).search, tokens))
            self.lines, self.spaces = None if spanned else re.compile(border), None
            same = all(self._encode(probe) == tuple(self.encode_whole(probe)) for probe in PROBES)
            found.append(self.lines if same else None)
        return found[0], found[1]

    def _encode(self, text: str) -> tuple[int, ...]:
        """Ids of `text`, without BOS and EOS. Half a surrogate pair, which JSON can hold, becomes U+FFFD."""
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        first, *others = self.pieces(text)
        later = (self.encode_piece(piece, LEADS[not piece.startswith(" ")]) for piece in others)
        return tuple(chain(self.encode_piece(first, ""), *later))

    def pieces(self, text: str) -> Iterator[str]:
        """`text` cut at borders: into lines, long lines into pieces of about 256 characters. They end at the same
        places whatever follows, so that texts with the same beginning share pieces."""
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
        """Ids of a piece of a text after `lead`: all but the first stand after another, at the same kind of border. A
        tokenizer may put a space before the first word of a text."""
        return tuple(map(self.ids.__getitem__, self.encode_whole(lead + piece)[self.leads[lead] :]))

    def _lead(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """`ids` after BOS. Where the tokenizer puts none, an empty context is EOS: something must stand there."""
        if self.bos_id is None:
            return ids or (self.eos_id,)
        return (self.bos_id, *ids)

    def encode_pair(
        self, prompt: str, completion: str, separator: str = " "
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Context and target ids of `prompt` followed by `completion`. BOS leads the context where the tokenizer puts
        it there; EOS is not added.

        The two are encoded as one text and split where the prompt's own tokens end: encoded apart, the completion would
        start with a piece that running text never has (lm-evaluation-harness issue 531). Where a piece spans the
        border, the split is before it. An empty completion has no target ids.

        Args:
            separator: What stands between the two. One space takes in the spaces that stand there already: more would
                be a piece of their own. Any other is put between the two as they are.
        """
        if separator == " ":
            prompt, completion = prompt.rstrip(" "), completion.lstrip(" ")
            separator = " " if prompt else ""
        alone = self.encode(prompt)
        joint = self.encode(prompt + separator + completion) if completion else alone
        border = common_length(alone, joint[: len(alone)])
        return self.lead(joint[:border]), joint[border:]

    def decode(self, tokens: Sequence[int]) -> str:
        return self.backend.decode(list(tokens))

    def decode_continuation(self, tokens: Sequence[int]) -> str:
        """Text of what the model wrote after a prompt, without the one space that joins the two: to a byte-level
        tokenizer it is part of the first token, sentencepiece takes it off itself."""
        text = self.decode(tokens)
        return text.removeprefix(" ") if self.keeps_space else text
