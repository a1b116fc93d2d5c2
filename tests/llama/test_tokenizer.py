"""Text to ids and back, and the end of a prompt: one text, encoded once."""

import csv
import io
from pathlib import Path

import pytest
import sentencepiece
import tokenizers

from llama import CheckpointError, Tokenizer
from llama.tokenizer import LINE_BREAK, SPACE

UNUSUAL = [
    "{text} {label_word} {} }{ {0!r} %s \\n",
    "👩‍👩‍👧 🇫🇷 e\u0301 \U0010ffff",
    "שלום \u202eمرحبا\u202c עולם",
    "null\x00 bell\x07 escape\x1b[31m delete\x7f\ufffe",
    "a\nnew line\n\n and\r\n\ttab\u2028\x0c",
    " leading, two  spaces and trailing ",
    "<s></s><unk><0x0A>",
    "",
]


@pytest.fixture(scope="module")
def meta(data) -> Tokenizer:
    """LLaMA's own tokenizer."""
    return Tokenizer(data / "llama_tokenizer/tokenizer.model")


@pytest.fixture(scope="module")
def tokenizer(tokenizer_path) -> Tokenizer:
    return Tokenizer(tokenizer_path)


@pytest.fixture(scope="module")
def merging(tmp_path_factory) -> Tokenizer:
    """A tokenizer whose tokens cross spaces, so that a prompt's last token merges with the following text."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["Category: World", "Category: Sports", "Topic x"] * 50),
        model_writer=model,
        model_type="bpe",
        vocab_size=320,
        byte_fallback=True,
        split_by_whitespace=False,
        split_by_unicode_script=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("merging") / "tokenizer.model"
    path.write_bytes(model.getvalue())
    return Tokenizer(path)


def pieces(tokenizer: Tokenizer, ids: tuple[int, ...]) -> list[str]:
    return [tokenizer.backend.sp_model.id_to_piece(token) for token in ids]


def test_special_ids(meta) -> None:
    assert (meta.n_words, meta.bos_id, meta.eos_id, meta.backend.sp_model.pad_id()) == (32000, 1, 2, -1)


@pytest.mark.parametrize("text", UNUSUAL)
def test_unusual_text_survives(text, tokenizer, meta) -> None:
    for each in (tokenizer, meta):
        assert each.decode(each.encode(text)) == text
        assert not {each.bos_id, each.eos_id} & set(each.encode(text))  # no text can end a sequence


def test_half_a_surrogate_pair_is_replaced(tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("rain \ud83d stopped")) == "rain \ufffd stopped"


@pytest.mark.parametrize("prompt", ["Topic:", "Topic: ", "Topic:  "])
@pytest.mark.parametrize("completion", ["World", " World"])
def test_no_stray_space_piece(prompt, completion, meta) -> None:
    context, target = meta.encode_pair(prompt, completion)
    assert pieces(meta, context) == ["<s>", "▁Top", "ic", ":"]
    assert pieces(meta, target) == ["▁World"]


def test_joint_encoding_usually_equals_separate_encoding(meta, data) -> None:
    """The error of lm-evaluation-harness issue 531, on real prompts, in both directions."""
    with (data / "ag_news/test.csv").open(newline="") as file:
        texts = [f"{title} {description}".strip() for _, title, description in list(csv.reader(file))[:100]]
    for text in texts:
        for prompt, completion in ((f"Article: {text}\nCategory:", "Science and technology"), ("Article:", text)):
            context, target = meta.encode_pair(prompt, completion)
            assert context == (meta.bos_id, *meta.encode(prompt))
            assert target == meta.encode(completion)


@pytest.mark.parametrize("completion", ["World", "", "a b", "\nnext", "👩‍👩‍👧"])
@pytest.mark.parametrize("prompt", ["Category:", "Category: ", "Article: a\n", "x  y   ", " ", "", "tab\t", *UNUSUAL])
def test_context_and_target_are_one_text(prompt, completion, tokenizer, merging) -> None:
    for each in (tokenizer, merging):
        context, target = each.encode_pair(prompt, completion)
        whole = f"{prompt.rstrip(' ')} {completion}" if prompt.rstrip(" ") and completion else prompt.rstrip(" ")
        assert context[0] == each.bos_id
        assert context[1:] + target == each.encode(whole or completion)
        assert each.bos_id not in context[1:] + target
        assert not pieces(each, context)[-1].endswith("▁")
        assert bool(target) == bool(completion)


def test_border_within_a_piece_is_moved_before_it(merging) -> None:
    assert pieces(merging, merging.encode("x Category:")) == ["▁x", "▁Category:"]
    context, target = merging.encode_pair("x Category:", "World")
    assert pieces(merging, context) == ["<s>", "▁x"]
    assert pieces(merging, target) == ["▁Category:▁World"]


def test_empty_completion_and_empty_prompt(tokenizer) -> None:
    assert tokenizer.encode_pair("Category:", "") == ((tokenizer.bos_id, *tokenizer.encode("Category:")), ())
    assert tokenizer.encode_pair("", "World") == ((tokenizer.bos_id,), tokenizer.encode("World"))
    assert tokenizer.encode_pair("", "") == ((tokenizer.bos_id,), ())


@pytest.mark.parametrize("separator", ["", "\n", "\n\n", "  ", " \n", "\u3000", "：", "|"])
@pytest.mark.parametrize("completion", ["World", "", " b", "\nnext", "👩‍👩‍👧"])
@pytest.mark.parametrize("prompt", ["Answer: (", "Category: ", "Category:\n", "答案：", "", *UNUSUAL])
def test_another_separator_is_unchanged(prompt, completion, separator, tokenizer, merging) -> None:
    for each in (tokenizer, merging):
        context, target = each.encode_pair(prompt, completion, separator)
        whole = prompt + separator + completion if completion else prompt
        assert list(context[1:] + target) == each.backend.sp_model.encode(whole)
        assert list(context[1:]) == each.backend.sp_model.encode(prompt)[: len(context) - 1]


def test_pieces_have_the_ids_of_the_whole(tokenizer, meta, merging, data) -> None:
    """Concatenated real texts with any white space between them; each tokenizer's own encoding is the oracle."""
    with (data / "ag_news/test.csv").open(newline="") as file:
        texts = [f"Article: {title} {description}" for _, title, description in list(csv.reader(file))[:400]]
    joints = ["\n", " ", "\n\n", "  ", " \n", "\n\u0301", " \u0301", "\t", "\r\n", ".\n(", "\n1", " 's", "\u2028"]
    for each in (tokenizer, meta, merging):
        for number, joint in enumerate(joints * 4):
            text = joint.join([*texts[number * 5 : number * 5 + 5], *UNUSUAL])
            assert list(each.encode(text)) == each.backend.sp_model.encode(text), repr(joint)


def test_where_a_text_is_cut(tokenizer, merging) -> None:
    text = "Article: rain  stopped, 3 play\u00a0s \u2014 on\n\nand\nCategory: World"
    expected = ["Article:", " rain  stopped,", " 3", " play\u00a0s \u2014 on\n\nand\n", "Category:", " World"]
    assert tokenizer.cuts.split(text) == expected
    assert [tokenizer.cut(text), tokenizer.cut("rain \u2014 \n"), tokenizer.cut("")] == [len(text) - 6, 0, 0]
    assert (merging.cuts, merging.cut(text)) == (None, 0)  # its pieces cross spaces, and a line break is one


def test_repeated_parts_are_encoded_once(tokenizer_path, monkeypatch) -> None:
    """The demonstrations, and a long text with many label words."""
    tokenizer, encoded = Tokenizer(tokenizer_path), []
    whole = tokenizer.encode_whole
    monkeypatch.setattr(tokenizer, "encode_whole", lambda text: encoded.append(text) or whole(text))
    text = " ".join(f"rain {number}" for number in range(5_000))
    for number in range(100):
        tokenizer.encode_pair(f"Article: a\nCategory: b\nArticle: {text}\nCategory:", f"World {number}")
    assert sum(map(len, encoded)) < 1.2 * len(text) + 100 * len("\nCategory: World 99")


def test_pieces_that_are_kept(tokenizer_path, monkeypatch) -> None:
    """Short ones, as many as there is room for; the ids do not depend on it."""
    monkeypatch.setattr("llama.tokenizer.KEPT", 3)
    tokenizer = Tokenizer(tokenizer_path)
    text = "a " + "b" * 40 + " rain stopped play today"
    for _ in range(2):
        assert list(tokenizer.encode(text)) == tokenizer.encode_whole(text)
        tokenizer.encode.cache_clear()
    assert len(tokenizer.pieces) == 3
    assert not any(len(piece) > 32 for piece in tokenizer.pieces)


def test_missing_or_truncated_file(tokenizer_path, tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.model: no such tokenizer file \(`tokenizer_path`\)"):
        Tokenizer(tmp_path / "nowhere.model")
    with pytest.raises(CheckpointError, match="no such tokenizer file"):
        Tokenizer(tmp_path)  # a folder
    (tmp_path / "half.model").write_bytes(tokenizer_path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"half\.model: not a tokenizer .*: expected a sentencepiece"):
        Tokenizer(tmp_path / "half.model")


def test_tokenizer_without_begin_and_end(tmp_path) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c"] * 20),
        model_writer=model,
        vocab_size=8,
        bos_id=-1,
        eos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (tmp_path / "tokenizer.model").write_bytes(model.getvalue())
    with pytest.raises(CheckpointError, match="has no beginning- and end-of-sequence pieces"):
        Tokenizer(tmp_path / "tokenizer.model")


def unigram(folder) -> Path:
    model = io.BytesIO()
    texts = [f"{number} 000 rain 00 {number}" for number in range(200)] + ["1 000 000 dollars", "the rain stopped"] * 50
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="unigram", vocab_size=60, hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    return folder / "tokenizer.model"


def added(folder, normalizer=None, **options) -> Path:
    """Byte-level BPE with an added token that is not special."""
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    if normalizer is not None:
        model.normalizer = normalizer
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False)
    model.train_from_iterator(["the    rain    stopped play"] * 5, trainer)
    model.add_tokens([tokenizers.AddedToken("[SEP]", special=False, **options)])
    model.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<s>"}')
    return folder / "tokenizer.json"


@pytest.mark.parametrize(
    ("make", "cuts"),
    [
        (unigram, None),  # paths of equal score, of which the sum over the whole text decides
        (lambda folder: added(folder, lstrip=True), None),
        (lambda folder: added(folder, rstrip=True), None),
        (lambda folder: added(folder, tokenizers.normalizers.BertNormalizer()), LINE_BREAK),  # adds spaces to Chinese
        (added, f"{LINE_BREAK}|{SPACE}"),
    ],
    ids=["unigram", "lstrip", "rstrip", "spaces", "added"],
)
def test_cuts_of_other_kinds(make, cuts, tmp_path) -> None:
    tokenizer = Tokenizer(make(tmp_path))
    assert (tokenizer.cuts and tokenizer.cuts.pattern) == cuts
    for text in (
        '"\n1 000',
        "d\n[SEP]",
        "the rain\n[SEP] stopped " * 40,
        "1 000 000\n000 " * 40,
        ", \n\u200b .",
        "中 a\n 中",
    ):
        assert list(tokenizer.encode(text)) == tokenizer.encode_whole(text), repr(text)
