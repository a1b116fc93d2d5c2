"""tokenizer.json of a Hugging Face folder, read by the package `tokenizers`."""

from pathlib import Path
from typing import Any

from llama.errors import CheckpointError
from llama.formats.files import first_line, missing_package, read_json

LIKE_SPACE, LIKE_LINE_BREAK = "▁Ġ", "Ċ"  # how vocabularies write a space and a line break


class HuggingFaceBackend:
    """See `llama.tokenizers.backend.Backend`.

    Args:
        path: tokenizer.json. Beside it may lie tokenizer_config.json, special_tokens_map.json, generation_config.json
            and config.json: they say what ends a sequence.
    """

    def __init__(self, path: Path):
        try:
            import tokenizers
        except ImportError:
            raise missing_package("tokenizers", path) from None
        beside = [path.parent / name for name in ("tokenizer_config.json", "special_tokens_map.json")]
        self.files: tuple[Path, ...] = (path, *(file for file in beside if file.is_file()))
        try:
            self.model = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # it raises plain exceptions
            raise CheckpointError(f"{path}: not a tokenizer.json: {first_line(error)}") from None
        self.model.no_truncation()
        self.model.no_padding()
        self.model.encode_special_tokens = True  # a text that holds "</s>" does not end there
        self.n_words = 1 + max(self.model.get_vocab(with_added_tokens=True).values(), default=-1)
        described: dict[str, Any] = {}
        for file in reversed(beside):
            described |= read_json(file, "") if file.is_file() else {}
        self.eos_id = self.find_eos(path, described)
        self.bos_id = self.find_bos(described)
        self.end_ids = frozenset([self.eos_id])

    def find_eos(self, path: Path, described: dict[str, Any]) -> int:
        """The id of the token that ends a sequence."""
        token = content_of(described.get("eos_token"))
        if token is None:
            raise CheckpointError(
                f"{path}: no eos_token beside it, in tokenizer_config.json or special_tokens_map.json"
            )
        number = self.model.token_to_id(token)
        if number is None:
            raise CheckpointError(f"{path}: eos_token {token!r} is none of its tokens")
        return number

    def find_bos(self, described: dict[str, Any]) -> int | None:
        """What the tokenizer puts before a text: as `add_bos_token` says, else what its post-processor does."""
        added = described.get("add_bos_token")
        if isinstance(added, bool):
            token = content_of(described.get("bos_token"))
            return self.model.token_to_id(token) if added and token is not None else None
        alone = self.model.encode("a", add_special_tokens=False).ids
        whole = self.model.encode("a", add_special_tokens=True).ids
        return whole[0] if whole[: len(alone)] != alone else None

    def encode(self, text: str) -> list[int]:
        return self.model.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        return self.model.decode(ids, skip_special_tokens=True)

    def texts(self) -> list[str]:
        """Byte-level vocabularies write a space as Ġ and a line break as Ċ, others a space as ▁."""
        found = [""] * self.n_words
        as_text = str.maketrans(dict.fromkeys(LIKE_SPACE, " ") | dict.fromkeys(LIKE_LINE_BREAK, "\n"))
        for token, number in self.model.get_vocab(with_added_tokens=True).items():
            found[number] = token.translate(as_text)
        return found


def content_of(token: Any) -> str | None:
    """A special token's text; configurations hold it as it is, or as an object."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None
