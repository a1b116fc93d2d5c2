"""A sentencepiece model: LLaMA 1 and 2, Mistral."""

from pathlib import Path

from sentencepiece import SentencePieceProcessor

from llama.errors import CheckpointError
from llama.formats.files import read_json
from llama.tokenizers.backend import content_of


class SentencePieceBackend:
    """See `llama.tokenizers.backend.Backend`.

    LLaMA's pad id is -1. The model never receives a padding id, so the backend has none.
    """

    def __init__(self, path: Path):
        self.files: tuple[Path, ...] = (path,)
        try:
            self.sp_model = SentencePieceProcessor()
            self.sp_model.LoadFromSerializedProto(path.read_bytes())
        except (RuntimeError, OSError) as error:
            raise CheckpointError(
                f"{path}: not a tokenizer (`tokenizer_path`): expected a sentencepiece model, tiktoken's ranks or a"
                " tokenizer.json"
            ) from error
        self.n_words: int = self.sp_model.vocab_size()
        self.bos_id: int | None = self.sp_model.bos_id()
        self.eos_id: int = self.sp_model.eos_id()
        self.end_ids = frozenset([self.eos_id])
        if self.bos_id < 0 or self.eos_id < 0:
            raise CheckpointError(f"{path}: the tokenizer has no beginning- and end-of-sequence pieces")

    def configure(self, path: Path) -> None:
        """Apply tokenizer_config.json of a Hugging Face folder without tokenizer.json.

        Raises:
            CheckpointError: It names a token that the sentencepiece model lacks.
        """
        stated = read_json(path, "")
        if stated.get("add_bos_token") is False:
            self.bos_id = None
        token = content_of(stated.get("eos_token"))
        if token is not None:
            self.eos_id = self.sp_model.piece_to_id(token)
            if self.sp_model.id_to_piece(self.eos_id) != token:
                raise CheckpointError(
                    f"{path}: eos_token {token!r} is not in {self.files[0].name}; make a tokenizer.json that contains"
                    " it with transformers: AutoTokenizer, save_pretrained"
                )
            self.end_ids = frozenset([self.eos_id])

    def encode(self, text: str) -> list[int]:
        return self.sp_model.encode(text)

    def decode(self, ids: list[int]) -> str:
        return self.sp_model.decode(ids)

    def texts(self) -> list[str] | None:
        """The text of each token."""
        ids = range(self.n_words)
        if not all(self.sp_model.get_score(token).is_integer() for token in ids):  # not BPE, whose scores are ranks
            return None
        return [self.sp_model.id_to_piece(token).replace("▁", " ") for token in ids]
