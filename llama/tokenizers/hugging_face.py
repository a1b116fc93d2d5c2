"""tokenizer.json of a Hugging Face folder, read by the package `tokenizers`."""

from pathlib import Path
from typing import Any

from llama.errors import CheckpointError
from llama.formats.files import first_line, missing_package, read_json
from llama.tokenizers.backend import content_of

# White space in vocabularies: ▁ in sentencepiece's, the others in byte-level ones.
WHITE_SPACE = str.maketrans("▁ĠĊĉčċČ", "  \n\t\r\v\f")


class HuggingFaceBackend:
    """See `llama.tokenizers.backend.Backend`.

    Args:
        path: tokenizer.json. tokenizer_config.json or special_tokens_map.json in its folder defines the eos_token.
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
        self.model.encode_special_tokens = True  # "</s>" in a text is ordinary text
        self.n_words = 1 + max(self.model.get_vocab(with_added_tokens=True).values(), default=-1)
        self.eos_id = self.find_eos(path)
        self.bos_id = self.find_bos()
        self.end_ids = frozenset([self.eos_id])

    def find_eos(self, path: Path) -> int:
        """The id of the token that ends a sequence."""
        stated = (content_of(read_json(file, "").get("eos_token")) for file in self.files[1:])
        token = next((token for token in stated if token is not None), None)
        if token is None:
            raise CheckpointError(
                f"{path}: no eos_token in tokenizer_config.json or special_tokens_map.json of the same folder"
            )
        number = self.model.token_to_id(token)
        if number is None:
            raise CheckpointError(f"{path}: eos_token {token!r} is not in its vocabulary")
        return number

    def find_bos(self) -> int | None:
        """The id that the post-processor puts before a text. Like transformers, it ignores `add_bos_token`."""
        alone = self.model.encode("a", add_special_tokens=False).ids
        whole = self.model.encode("a", add_special_tokens=True).ids
        return whole[0] if whole[: len(alone)] != alone else None

    def encode(self, text: str) -> list[int]:
        return self.model.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        return self.model.decode(ids, skip_special_tokens=True)

    def texts(self) -> list[str] | None:
        """See `llama.tokenizers.backend.Backend`."""
        return token_texts(self.model)


def token_texts(model: Any) -> list[str] | None:
    """`llama.tokenizers.backend.Backend.texts` of a `tokenizers.Tokenizer`."""
    added = model.get_added_tokens_decoder().values()
    if type(model.model).__name__ == "Unigram" or any(token.lstrip or token.rstrip for token in added):
        return None
    vocabulary = model.get_vocab(with_added_tokens=True)
    found = [""] * (1 + max(vocabulary.values(), default=-1))
    for token, number in vocabulary.items():
        found[number] = token.translate(WHITE_SPACE)
    return found
