"""Text to token ids and back: a thin layer over sentencepiece with LLaMA's conventions."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from llama.errors import CheckpointError
from llama.tree import common_length


class Tokenizer:
    """A sentencepiece model.

    Its pad id is -1 in LLaMA's model: padding is never an id that is fed to the model, so none is offered here.

    Raises:
        CheckpointError: The file is missing or is no sentencepiece model (Llama 3's are tiktoken's).
    """

    def __init__(self, model_path: str | Path):
        self.model_path = Path(model_path)
        if not self.model_path.is_file():
            raise CheckpointError(f"{model_path}: no such tokenizer file (--tokenizer_path)")
        try:
            self.sp_model = SentencePieceProcessor()
            self.sp_model.LoadFromSerializedProto(self.model_path.read_bytes())
        except (RuntimeError, OSError) as error:
            raise CheckpointError(
                f"{model_path}: not a sentencepiece model (--tokenizer_path); Llama 3's tokenizer is not supported"
            ) from error
        self.encode = lru_cache(maxsize=256)(self._encode)  # prompts come back with every label word
        self.lead = lru_cache(maxsize=256)(self._lead)  # so do contexts: the requests of an example hold one
        self.n_words: int = self.sp_model.vocab_size()
        self.ids = tuple(range(self.n_words))  # one object an id: requests of a whole test split hold millions
        self.bos_id: int = self.sp_model.bos_id()
        self.eos_id: int = self.sp_model.eos_id()
        if self.bos_id < 0 or self.eos_id < 0:
            raise CheckpointError(f"{model_path}: the tokenizer has no begin- and end-of-sequence pieces")

    def _encode(self, text: str) -> tuple[int, ...]:
        """Ids of `text`, without BOS and EOS. Half a surrogate pair, which JSON can hold, becomes U+FFFD."""
        ids = self.sp_model.encode(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        return tuple(map(self.ids.__getitem__, ids))

    def _lead(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """`ids` after BOS."""
        return (self.bos_id, *ids)

    def encode_pair(self, prompt: str, completion: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Context and target ids of `prompt` followed by `completion`; BOS leads the context, EOS is not added.

        The two are encoded as one text, joined by one space, and split where the prompt's own tokens end: encoded
        apart, the completion would start with a piece that running text never has (lm-evaluation-harness issue 531).
        Where a piece spans the border, the split is before it. Spaces at the border are that one space: more would be
        a piece of their own. An empty completion has no target ids.
        """
        prompt, completion = prompt.rstrip(" "), completion.lstrip(" ")
        alone = self.encode(prompt)
        joint = self.encode(f"{prompt} {completion}" if prompt and completion else prompt or completion)
        border = common_length(alone, joint[: len(alone)])
        return self.lead(joint[:border]), joint[border:]

    def decode(self, tokens: Sequence[int]) -> str:
        return self.sp_model.decode(list(tokens))
