"""The tokenizer of a GGUF file, read by transformers and corrected.

A file names its pre-tokenizer (tokenizer.ggml.pre). transformers knows some of these names and silently uses GPT-2's
for all others. llama.cpp's `llama-vocab.cpp` defines them.
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from convert.metadata import Metadata
from preprocess.errors import InputError

GPT2 = {"gpt-2", "phi-2", "mpt", "olmo", "jais"}
DIGITS_APART = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
WHOLE_WORDS = {
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "pixtral",
    "tekken",
}  # a piece in the vocabulary is a token
BOS_BY_DEFAULT = {"llama3", "llama-v3", "llama-bpe"}
ROLES = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
CONTROL, USER_DEFINED = 3, 4  # token types


def read_tokenizer(metadata: Metadata, folder: Path, name: str) -> PreTrainedTokenizerFast:
    """The tokenizer that encodes as llama.cpp does with the file.

    Args:
        folder, name: The file, alone in its folder.

    Raises:
        InputError: The pre-tokenizer is not supported, or a token would be lost.
    """
    model, pre = metadata.need("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "default")
    if model not in ("llama", "gpt2"):
        raise InputError(f"{metadata.path}: tokenizer.ggml.model {model} is not supported (--gguf)")
    tokens = metadata.need("tokenizer.ggml.tokens")
    opened = AutoTokenizer.from_pretrained(folder, gguf_file=name, trust_remote_code=False)
    backend = without_own_tokens(opened.backend_tokenizer, len(tokens))
    if model == "llama":
        cut_as_sentencepiece(metadata, backend)
    else:
        cut_as_named(metadata, backend, pre)
    check_tokens(metadata, backend, tokens)
    ids = {role: metadata.get(f"tokenizer.ggml.{key}_token_id") for role, key in ROLES.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        add_bos_token=metadata.get("tokenizer.ggml.add_bos_token", model == "llama" or pre in BOS_BY_DEFAULT),
        chat_template=metadata.get("tokenizer.chat_template"),
        clean_up_tokenization_spaces=False,
        **{f"{role}_token": tokens[place] for role, place in ids.items() if place is not None},
    )


def without_own_tokens(backend: Tokenizer, count: int) -> Tokenizer:
    """Remove the unknown token that transformers adds if the file has none: the embedding has no row for it."""
    content = json.loads(backend.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] < count]
    return Tokenizer.from_str(json.dumps(content))


def cut_as_sentencepiece(metadata: Metadata, backend: Tokenizer) -> None:
    """Always put a space before the text: transformers adds none if the text begins with a space."""
    if metadata.get("tokenizer.ggml.remove_extra_whitespaces", False):
        raise InputError(f"{metadata.path}: tokenizer.ggml.remove_extra_whitespaces is not supported (--gguf)")
    steps = [normalizers.Replace(" ", "▁")]
    if metadata.get("tokenizer.ggml.add_space_prefix", True):
        steps.insert(0, normalizers.Prepend("▁"))
    backend.normalizer = normalizers.Sequence(steps)
    backend.pre_tokenizer = None


def cut_as_named(metadata: Metadata, backend: Tokenizer, pre: str) -> None:
    """Set the pre-tokenizer of byte-level BPE by its name, `pre`.

    Raises:
        InputError: The name is unknown.
    """
    if pre in DIGITS_APART:
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    elif isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel) and pre not in GPT2:
        raise InputError(f"{metadata.path}: tokenizer.ggml.pre {pre!r} is not supported (--gguf)")
    backend.model.ignore_merges = pre in WHOLE_WORDS


def check_tokens(metadata: Metadata, backend: Tokenizer, tokens: list[str]) -> None:
    """Check that every token keeps its id, and that special tokens are not split.

    Raises:
        InputError: A token is lost; the message names the first.
    """
    kinds = metadata.get("tokenizer.ggml.token_type", [1] * len(tokens))
    added = backend.get_added_tokens_decoder()
    for place, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        if backend.id_to_token(place) != token or (kind in (CONTROL, USER_DEFINED) and place not in added):
            raise InputError(f"{metadata.path}: token {place}, {token!r}, is lost in transformers (--gguf)")
