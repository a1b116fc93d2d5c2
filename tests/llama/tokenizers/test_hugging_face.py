"""tokenizer.json: transformers is the oracle, with special tokens in a text treated as text."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from llama import CheckpointError, Tokenizer
from llama.prompts import build_requests
from llama.templates import LABEL_WORD, TEXT, fill
from tests.llama.tokenizers.conftest import SURROGATES

transformers = pytest.importorskip("transformers", reason="needs requirements-finetune.txt")

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = "Article: rain (stopped) play, 1234 don't\nCategory: Science and technology\n\n"


def byte_level(split: list) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(split)
    made.decoder = decoders.ByteLevel()
    return made


def gpt2() -> tokenizers.Tokenizer:
    """SmolLM2's kind: single digits, GPT-2's pattern."""
    return byte_level([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])


def qwen() -> tokenizers.Tokenizer:
    """Qwen's and Llama 3's kind."""
    split = pre_tokenizers.Split(Regex(QWEN), behavior="isolated")
    made = byte_level([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.normalizer = normalizers.NFC()
    return made


def llama2() -> tokenizers.Tokenizer:
    """LLaMA 1's and 2's kind: sentencepiece as BPE, with a leading space and byte fallback."""
    made = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    made.decoder = decoders.Sequence(steps)
    return made


FORMS = {"gpt2": gpt2, "qwen": qwen, "llama2": llama2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Callable[..., Path]:
    """A function: (form, bos=True, **entries of tokenizer_config.json) -> the folder of a trained tokenizer."""

    def make(form: str, bos: bool = True, **config: object) -> Path:
        made = FORMS[form]()
        bytes_ = [f"<0x{byte:02X}>" for byte in range(256)] if form == "llama2" else []
        trainer = trainers.BpeTrainer(
            vocab_size=700,
            special_tokens=["<unk>", "<s>", "</s>", *bytes_],
            initial_alphabet=[] if bytes_ else pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        pieces = [WORDS * 5, WORDS.replace("\n", " "), "12 " * 50] * 20
        made.train_from_iterator([word for text in pieces for word in text.split(" ")] if bytes_ else pieces, trainer)
        if bytes_:  # they are ordinary tokens, not special ones
            state = json.loads(made.to_str())
            state["added_tokens"] = state["added_tokens"][:3]
            made = tokenizers.Tokenizer.from_str(json.dumps(state))
        made.add_special_tokens([AddedToken("<|im_end|>", special=True)])
        if bos:
            made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        path = tmp_path_factory.mktemp(form)
        made.save(str(path / "tokenizer.json"))
        stated = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
        (path / "tokenizer_config.json").write_text(json.dumps(stated | config))
        return path

    return make


@pytest.mark.parametrize("form", FORMS)
def test_ids_are_those_of_transformers(form, folder, texts) -> None:
    path = folder(form)
    ours, theirs = Tokenizer(path / "tokenizer.json"), transformers.AutoTokenizer.from_pretrained(path)
    for text in [*texts, *SURROGATES]:
        valid = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        expected = theirs(valid, add_special_tokens=False, split_special_tokens=True).input_ids
        assert list(ours.encode(text)) == expected, text[:50]
        assert not {1, 2, ours.n_words - 1} & set(expected)  # no text can begin or end a sequence
    assert (ours.bos_id, ours.eos_id, ours.end_ids) == (1, 2, {2})


@pytest.mark.parametrize("form", ["gpt2", "qwen"])
def test_decode(form, folder, texts) -> None:
    ours = Tokenizer(folder(form) / "tokenizer.json")
    for text in texts:
        if form == "gpt2" or text == normalizers.NFC().normalize_str(text):
            assert ours.decode(ours.encode(text)) == text
    assert ours.decode((1, *ours.encode("rain"), ours.n_words - 1, 2)) == "rain"


@pytest.mark.parametrize("form", FORMS)
def test_prompt_and_completion(form, folder) -> None:
    tokenizer = Tokenizer(folder(form) / "tokenizer.json")
    prompt = "Article: rain stopped play\nCategory:"
    context, target = tokenizer.encode_pair(prompt, "Science and technology")
    assert context == (1, *tokenizer.encode(prompt))
    assert (*context[1:], *target) == tokenizer.encode(f"{prompt} Science and technology")
    assert tokenizer.decode(target) == ("" if form == "llama2" else " ") + "Science and technology"
    assert tokenizer.decode_continuation(target) == "Science and technology"


@pytest.mark.parametrize("method", ["direct", "channel", "generate"])
@pytest.mark.parametrize("form", FORMS)
def test_requests_after_demonstrations(form, method, folder, texts) -> None:
    """Real and difficult texts: the ids of the whole string, split where the prompt's own tokens end."""
    tokenizer = Tokenizer(folder(form) / "tokenizer.json")
    shown = "Article: rain {text} (stopped)\nCategory: World {label_word}\n"
    prompt, completion = f"{shown}Article: {TEXT}\nCategory:", LABEL_WORD
    if method == "channel":
        prompt, completion = f"{shown}Category: {LABEL_WORD}\nArticle:", TEXT
    words = ["World", "Science and technology", "é", "1{2}"]

    def whole(text: str) -> list[int]:
        return tokenizer.encode_whole(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))

    for text in [*texts[:2000:10], *(text for text in texts[2000:] if len(text) < 5_000), *SURROGATES]:
        requests = build_requests(method, tokenizer, prompt, completion, text, words)
        assert len(requests) == (1 if method == "generate" else len(words))
        for word, request in zip(words, requests, strict=False):
            given, scored = (word, text) if method == "channel" else (text, word)
            before = fill(prompt, LABEL_WORD if method == "channel" else TEXT, given)
            scored = "" if method == "generate" else scored.lstrip(" ")
            alone, joint = map(whole, (before, f"{before} {scored}" if scored else before))
            border = next((n for n, ids in enumerate(zip(alone, joint, strict=False)) if len(set(ids)) > 1), len(alone))
            assert request.context == (1, *joint[:border]), text[:50]
            assert request.target == tuple(joint[border:]), text[:50]


@pytest.mark.parametrize(
    ("post_processor", "config", "bos_id"),
    [
        (True, {}, 1),
        (False, {}, None),
        (False, {"add_bos_token": False}, None),  # Qwen2's
        (True, {"add_bos_token": False}, 1),  # transformers ignores it if there is a tokenizer.json
        (False, {"add_bos_token": True}, None),
    ],
)
def test_begin_of_a_sequence(post_processor, config, bos_id, folder) -> None:
    """As in transformers; without BOS, an empty context is EOS."""
    path = folder("gpt2", bos=post_processor, **config)
    tokenizer = Tokenizer(path / "tokenizer.json")
    ids = list(tokenizer.encode("rain"))
    assert tokenizer.bos_id == bos_id
    assert transformers.AutoTokenizer.from_pretrained(path)("rain").input_ids == ([1] if bos_id else []) + ids
    assert tokenizer.encode_pair("rain", "")[0] == tuple(([1] if bos_id else []) + ids)
    assert tokenizer.encode_pair("", "rain") == ((1 if bos_id else 2,), tuple(ids))


def test_end_of_a_sequence(folder) -> None:
    """eos_token as a string or as an object, in either of two files."""
    path = folder("gpt2", eos_token={"content": "<|im_end|>", "special": True})
    assert Tokenizer(path / "tokenizer.json").eos_id == Tokenizer(path / "tokenizer.json").n_words - 1
    path = folder("gpt2", eos_token=None)
    (path / "special_tokens_map.json").write_text('{"eos_token": "<|im_end|>"}')
    assert Tokenizer(path / "tokenizer.json").eos_id == Tokenizer(path / "tokenizer.json").n_words - 1


def test_truncation_and_padding_are_disabled(folder) -> None:
    path = folder("gpt2")
    made = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    made.enable_truncation(4)
    made.enable_padding(length=64)
    made.save(str(path / "tokenizer.json"))
    text = "rain stopped play " * 20
    tokenizer = Tokenizer(path / "tokenizer.json")
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode("rain")) < 10


def test_refusals(folder, tmp_path, monkeypatch) -> None:
    path = folder("gpt2", eos_token="<|nowhere|>") / "tokenizer.json"
    with pytest.raises(CheckpointError, match=rf"^{path}: eos_token '<\|nowhere\|>' is not in its vocabulary$"):
        Tokenizer(path)
    path = folder("gpt2", eos_token=None) / "tokenizer.json"
    with pytest.raises(CheckpointError, match=f"^{path}: no eos_token in tokenizer_config.json or "):
        Tokenizer(path)
    broken = tmp_path / "tokenizer.json"
    broken.write_text('{"model": {"type": "BPE"}}')
    with pytest.raises(CheckpointError, match=f"^{broken}: not a tokenizer.json: "):
        Tokenizer(broken)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(CheckpointError, match=f"^{broken}: needs the package tokenizers, .*: pip install tokenizers$"):
        Tokenizer(broken)
