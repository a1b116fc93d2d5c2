"""LLaMA of transformers as a token classifier, from a hub id, a folder (also Meta's format), or random weights."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForTokenClassification,
    LlamaTokenizer,
    PreTrainedTokenizerBase,
)

from documents.pretrained import RANDOM, check_weights, is_classifier, label_options, model_name, one_line, read_config
from llama import ModelArgs, open_checkpoint
from llama.checkpoint import load_weights
from llama.formats.names import to_hugging_face
from llama.tokenizers.sentencepiece import SentencePieceBackend
from preprocess.errors import InputError
from preprocess.seals import check_seal, seal

RANDOM_SHAPE = {"hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 2, "num_attention_heads": 4}
RANDOM_VOCABULARY = 1000
RANDOM_LENGTH = 512


@dataclass(frozen=True)
class Base:
    """A model to fine-tune, with its tokenizer.

    Args:
        name: Name in tables.
        fingerprint: Fingerprint of a checkpoint in Meta's format; None for others.
    """

    name: str
    model: LlamaForTokenClassification
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str | None = None


def load_base(model: str, label_words: Sequence[str], dtype: torch.dtype, texts: Sequence[str], folder: Path) -> Base:
    """The model of `--model`. The classifier is initialized by torch's global generator.

    Args:
        texts: Training texts of the tokenizer for `random`.
        folder: Folder of the model for `random`, which a resumed run reuses.

    Raises:
        InputError, CheckpointError: The model is missing, or not a LLaMA.
    """
    if model == RANDOM:
        if not (folder / "config.json").is_file():
            make_random(label_words, texts, folder)
        check_seal(folder)
        return Base(RANDOM, *load_transformers(str(folder), label_words, dtype))
    local = Path(model)
    if is_meta(local):
        return load_meta(local, label_words, dtype)
    if local.is_dir() and not (local / "config.json").is_file():
        raise InputError(f"{model}: neither params.json (Meta) nor config.json (transformers) in it (--model)")
    return Base(model_name(model), *load_transformers(model, label_words, dtype))


def is_meta(folder: Path) -> bool:
    """Whether a folder is a checkpoint in Meta's format."""
    return (folder / "params.json").is_file() or any(folder.glob("consolidated.*.pth"))


def load_transformers(
    model: str, label_words: Sequence[str], dtype: torch.dtype
) -> tuple[LlamaForTokenClassification, PreTrainedTokenizerBase]:
    """The model and tokenizer of a hub id or a local folder in transformers' format."""
    config = read_config(model, "llama")
    classifies = is_classifier(model, config, LlamaForTokenClassification.__name__, label_words)
    with one_line(model):
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        loaded, report = LlamaForTokenClassification.from_pretrained(
            model, dtype=dtype, output_loading_info=True, **label_options(label_words)
        )
    check_weights(model, report["missing_keys"], "" if classifies else "score.")
    return loaded, tokenizer


def load_meta(folder: Path, label_words: Sequence[str], dtype: torch.dtype) -> Base:
    """A checkpoint in Meta's format, with any number of shards."""
    checkpoint = open_checkpoint(str(folder))
    tokenizer = checkpoint.tokenizer.backend
    if not isinstance(tokenizer, SentencePieceBackend):
        raise InputError(f"--model {folder}: Llama 3 in Meta's format is not supported; use its Hugging Face folder")
    config = config_of(checkpoint.args, label_words)
    # .to(dtype) afterwards would round rotary tables
    model = AutoModelForTokenClassification.from_config(config, dtype=dtype, trust_remote_code=False)
    weights = load_weights(checkpoint, 0, 1, dtype, torch.device("cpu"))
    del weights["output.weight"]  # a classifier has none
    converted = to_hugging_face(weights, checkpoint.args)
    model.model.load_state_dict({key.removeprefix("model."): weight for key, weight in converted.items()})
    return Base(checkpoint.name, model, converted_tokenizer(tokenizer), checkpoint.fingerprint())


def config_of(args: ModelArgs, label_words: Sequence[str]) -> LlamaConfig:
    """transformers' configuration of the same model."""
    return LlamaConfig(
        vocab_size=args.vocab_size,
        hidden_size=args.dim,
        intermediate_size=args.hidden_dim,
        num_hidden_layers=args.n_layers,
        num_attention_heads=args.n_heads,
        num_key_value_heads=args.n_kv_heads,
        head_dim=args.head_dim,
        rms_norm_eps=args.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": args.rope_theta},
        max_position_embeddings=args.max_seq_len,
        tie_word_embeddings=False,
        **label_options(label_words),
    )


def converted_tokenizer(tokenizer: SentencePieceBackend) -> LlamaTokenizer:
    """transformers' tokenizer with the ids of a sentencepiece model.

    sentencepiece merges the pair with the highest score, so merges are ordered by score.
    `LlamaTokenizer.from_pretrained` orders them by id, which differs for LLaMA's runs of spaces ("a  b").
    """
    model = tokenizer.sp_model
    vocabulary = {model.id_to_piece(number): number for number in range(model.vocab_size())}
    merges = []
    for piece, number in vocabulary.items():
        if model.is_control(number) or model.is_byte(number) or model.is_unknown(number):
            continue
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocabulary and right in vocabulary:
                merges.append((-model.get_score(number), vocabulary[left], vocabulary[right], left, right))
    return LlamaTokenizer(
        vocab=vocabulary,
        merges=[(left, right) for *_, left, right in sorted(merges)],
        unk_token=model.id_to_piece(model.unk_id()),
        bos_token=model.id_to_piece(tokenizer.bos_id),
        eos_token=model.id_to_piece(tokenizer.eos_id),
        add_bos_token=True,
        padding_side="right",
    )


def make_random(label_words: Sequence[str], texts: Sequence[str], folder: Path) -> None:
    """Save a small random LLaMA in transformers' format, with a tokenizer trained on `texts`."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=RANDOM_VOCABULARY,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tokenizer.model"
    path.write_bytes(model.getvalue())
    tokenizer = converted_tokenizer(SentencePieceBackend(path))
    path.unlink()  # otherwise transformers would use it instead of its own file
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=RANDOM_LENGTH,
        tie_word_embeddings=False,
        **RANDOM_SHAPE,
        **label_options(label_words),
    )
    LlamaForTokenClassification(config).save_pretrained(folder)
    seal(folder)
