"""Encoding of texts and prompts, the same for all kinds of tokenizers."""

import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

from llama.prefix_tree import common_length
from llama.tokenizers.backend import Backend
from llama.tokenizers.kinds import open_backend

# Where a text is cut: before a line or a space, next to characters that no normalizer treats as white space.
LINE_BREAK, SPACE = r"(?<=[\w!-~]\n)(?=[\w!-~])", r"(?<=[\w!-~])(?= [\w!-~])"
LEADS = ("x", "x\n")  # a piece is encoded after one of these, to get the ids that it has within a text
KEPT, LONGEST = 2**17, 32  # pieces whose ids are kept (some 30 MB), and maximum characters of such a piece
PROBES = ("Aa:\nBb 1.\n(c) dé\n12 3 x\n'll y", "the rain, the (rain) 12 34 «é» 's\nend", "a 𰻝 𰻝\n𰻝 中 中\n中 b")


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
        # What the completions of an example share, and what all examples share.
        self.encode = lru_cache(maxsize=256)(self._encode)
        self.split = lru_cache(maxsize=256)(self._split)
        self.join = lru_cache(maxsize=256)(self._join)
        self.open = lru_cache(maxsize=256)(self._open)
        self.first_pieces = Pieces(lambda piece: self.encode_piece(piece, ""))
        self.pieces = Pieces(lambda piece: self.encode_piece(piece, LEADS[not piece.startswith(" ")]))
        self.n_words = self.backend.n_words
        self.ids = tuple(range(self.n_words))  # one object for each id, because a test split has millions
        self.bos_id = self.backend.bos_id
        self.eos_id = self.backend.eos_id
        self.end_ids = self.backend.end_ids if end_ids is None else frozenset(end_ids)
        self.leads = {lead: len(self.encode_whole(lead)) for lead in ("", *LEADS)}
        self.cuts = self.find_cuts()
        self.last_cut = None if self.cuts is None else re.compile(f"(?s:.*)(?:{self.cuts.pattern})")
        self.keeps_space = self.decode(self.encode_pair("a", "a")[1]) == " a"

    def encode_whole(self, text: str) -> list[int]:
        """Ids of `text`, encoded in one piece."""
        return self.backend.encode(text)

    def find_cuts(self) -> re.Pattern[str] | None:
        """A pattern of the places between lines and words at which a text can be cut without changing its ids.

        No token of the vocabulary spans such a place, so no merge crosses it. None: there is no such place.
        """
        tokens = self.backend.texts()
        if tokens is None:
            return None
        kept = "\n" in self.decode(self.encode_whole("x\nx"))  # some tokenizers replace it by a space
        found = []
        for place, spanning in ((LINE_BREAK, r"\n\S" if kept else r"\n\S|\S "), (SPACE, r"\S ")):
            self.cuts = re.compile(place)
            if not any(map(re.compile(spanning).search, tokens)) and all(map(self.is_whole, PROBES)):
                found.append(place)
        return re.compile("|".join(found)) if found else None

    def is_whole(self, text: str) -> bool:
        """Whether the ids of a text in pieces are those of the whole text."""
        return self._encode(text) == tuple(self.encode_whole(text))

    def _encode(self, text: str, begins: bool = True) -> tuple[int, ...]:
        """Ids of `text`, without BOS and EOS. A lone surrogate, which JSON allows, becomes U+FFFD.

        Args:
            begins: Whether a text begins here. If not, it follows another that was cut off.
        """
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        pieces = [text] if self.cuts is None else self.cuts.split(text)
        first = self.first_pieces[pieces.pop(0)] if begins else ()
        return tuple(chain(first, *map(self.pieces.__getitem__, pieces)))

    def encode_piece(self, piece: str, lead: str) -> tuple[int, ...]:
        """Ids of a piece of a text after `lead`, which gives all pieces but the first the boundary that they have in
        the text: a tokenizer may add a space before the first word of a text."""
        return tuple(map(self.ids.__getitem__, self.encode_whole(lead + piece)[self.leads[lead] :]))

    def cut(self, text: str) -> int:
        """The last place at which `text` can be cut; 0 if there is none."""
        found = None if self.last_cut is None else self.last_cut.match(text)
        return 0 if found is None else found.end()

    def _open(self, template: str, field: str) -> tuple[tuple[int, ...], str]:
        """The ids of what all fillings of a template begin with, such as demonstrations, and the rest of the template.

        The ids begin with BOS if the tokenizer has one. They are empty if the template cannot be cut before its field.
        """
        place = self.cut(template.rpartition(field)[0])
        return self.lead(self._encode(template[:place])) if place else (), template[place:]

    def lead(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """`ids` after BOS. Without a BOS, an empty context becomes EOS, because a context must not be empty."""
        if self.bos_id is None:
            return ids or (self.eos_id,)
        return (self.bos_id, *ids)

    def encode_pair(
        self, prompt: str, completion: str, separator: str = " ", begins: bool = True
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Context and target ids of `prompt` followed by `completion`. The context begins with BOS if the tokenizer has
        one; EOS is not added.

        The two are encoded as one text and split where the prompt's own tokens end. Encoded separately, the completion
        would begin with a piece that does not occur in running text (lm-evaluation-harness issue 531). A piece that
        spans the boundary belongs to the completion. An empty completion has no target ids.

        Args:
            separator: The text between the two. A single space replaces spaces that are already there, because several
                would form a piece of their own. Any other separator is inserted unchanged.
            begins: Whether a text begins with the prompt. If not, it is the rest of a template, see `open`.
        """
        if separator == " ":
            prompt, completion = prompt.rstrip(" "), completion.lstrip(" ")
            separator = " " if prompt else ""
        place = self.cut(prompt)
        end, target = self.split(prompt[place:], separator + completion if completion else "", begins and not place)
        return self.join(prompt[:place], end, begins), target

    def _split(self, end: str, continuation: str, begins: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids of the end of a prompt and of what follows it."""
        alone = self.encode(end, begins)
        joint = self._encode(end + continuation, begins) if continuation else alone
        border = common_length(alone, joint[: len(alone)])
        return joint[:border], joint[border:]

    def _join(self, start: str, end: tuple[int, ...], begins: bool) -> tuple[int, ...]:
        """Ids of a prompt whose end is encoded; the requests of an example share this object."""
        ids = self._encode(start, begins) + end if start else end
        return self.lead(ids) if begins else ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of `tokens`, without special tokens."""
        return self.backend.decode(list(tokens))

    def decode_continuation(self, tokens: Sequence[int]) -> str:
        """Text of generated tokens, without the space after the prompt: with a byte-level tokenizer it is part of the
        first token, and sentencepiece removes it."""
        text = self.decode(tokens)
        return text.removeprefix(" ") if self.keeps_space else text


class Pieces(dict[str, tuple[int, ...]]):
    """The ids of pieces: words recur, and looking one up takes a hundredth of the time of encoding it.

    Args:
        encode: Encodes a piece that is not here; short ones are kept until there are `KEPT`.
    """

    def __init__(self, encode: Callable[[str], tuple[int, ...]]):
        super().__init__()
        self.encode = encode

    def __missing__(self, piece: str) -> tuple[int, ...]:
        ids = self.encode(piece)
        if len(piece) <= LONGEST and len(self) < KEPT:
            self[piece] = ids
        return ids
