"""Filled fields, and the requests of a text compared with the tokenizer on the whole string."""

import pytest
import torch

from llama import Tokenizer, load
from llama.prompts import build_requests, fill

WORDS = ["World", "Sports", "Science and technology"]


@pytest.mark.parametrize(
    ("before", "field", "value", "after"),
    [
        ("a {text} b {text} c", "{text}", "X", "a {text} b X c"),
        ("a {text} b", "{text}", "{text} {0} \\1 $& %s", "a {text} {0} \\1 $& %s b"),
        ("{label_word} {text}", "{label_word}", "", " {text}"),
        ("{} {0} {x!r} }{", "{text}", "X", "{} {0} {x!r} }{"),
        ("{{text}}", "{text}", "X", "{X}"),
    ],
)
def test_a_field_is_its_last_occurrence_and_braces_are_text(before: str, field: str, value: str, after: str) -> None:
    assert fill(before, field, value) == after


@pytest.mark.parametrize("separator", [" ", "", "\n", "\n\n", ": "])
@pytest.mark.parametrize("tail", ["Category:", "Answer: ("])
def test_the_whole_text_is_scored(separator: str, tail: str, tokenizer_path) -> None:
    """Prompt, separator and completion as one string, by sentencepiece itself, for all methods."""
    tokenizer = Tokenizer(tokenizer_path)
    text = "rain {label_word} stopped"
    direct = build_requests("direct", tokenizer, f"Article: {{text}}\n{tail}", "{label_word})", text, WORDS, separator)
    channel = build_requests("channel", tokenizer, f"{tail}{{label_word}}", "{text}!", text, WORDS, separator)
    (generate,) = build_requests("generate", tokenizer, f"Article: {{text}}\n{tail}", "", text, WORDS, separator)
    for number, word in enumerate(WORDS):
        whole = f"Article: {text}\n{tail}{separator}{word})"
        assert [*direct[number].context, *direct[number].target][1:] == tokenizer.backend.sp_model.encode(whole)
        whole = f"{tail}{word}{separator}{text}!"
        assert [*channel[number].context, *channel[number].target][1:] == tokenizer.backend.sp_model.encode(whole)
    before = f"Article: {text}\n{tail}{separator}".rstrip(" ")
    assert (list(generate.context[1:]), generate.target) == (tokenizer.backend.sp_model.encode(before), ())


@pytest.mark.parametrize("separator", [" ", "", "\n"])
@torch.inference_mode()
def test_scores_are_those_of_transformers(separator: str, folder, to_transformers) -> None:
    """Prompt, separator and completion as one string; what follows the prompt's own tokens is scored."""
    llama, model = load(str(folder)), to_transformers(folder)
    sp = llama.tokenizer.backend.sp_model
    pairs = [(f"Article: {text}\nAnswer: (", word + ")") for text in ("rain", "play (x)") for word in WORDS]
    for prompt, completion in pairs:
        ids = [sp.bos_id(), *sp.encode(prompt + separator + completion), sp.eos_id()]
        first = len(sp.encode(prompt)) + 1
        log_probs = model(torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
        expected = sum(float(log_probs[place - 1, ids[place]]) for place in range(first, len(ids)))
        (found,) = llama.compute_log_probs([prompt], [completion], separator=separator)
        assert found == pytest.approx(expected, abs=1e-4 * len(ids), rel=0)


def test_what_all_texts_share_is_encoded_once(tokenizer_path) -> None:
    """Demonstrations before texts of one line, or of two; label words after a text; a text after label words."""
    tokenizer = Tokenizer(tokenizer_path)
    demonstrations = "Article: rain stopped play\nCategory: Sports\n" * 100
    prompts = {"direct": "Article: {text}\nCategory:", "channel": "Category: {label_word}\nArticle:"}
    completions = {"direct": "{label_word}", "channel": "{text}"}
    for method, prompt in prompts.items():
        built = [
            build_requests(method, tokenizer, demonstrations + prompt, completions[method], text, WORDS)
            for text in ("a b", "c\nd", "rain")
        ]
        assert len({id(request.head) for requests in built for request in requests}) == 1
        assert built[0][0].head == (tokenizer.bos_id, *tokenizer.encode_whole(demonstrations))
        for requests in built:
            shared = {id(request.tail if method == "direct" else request.target) for request in requests}
            assert len(shared) == 1
    assert [len(request.context) + len(request.target) for request in built[0]] == [r.length for r in built[0]]


@pytest.mark.parametrize("prompt", ["{text} x", " {text}", "rain{text}:", "no line: {text}"])
def test_a_prompt_without_a_shared_beginning(prompt: str, tokenizer_path) -> None:
    tokenizer = Tokenizer(tokenizer_path)
    for request in build_requests("direct", tokenizer, prompt, "{label_word}", "a\nb", WORDS):
        assert request.context[0] == tokenizer.bos_id
        assert request.context.count(tokenizer.bos_id) == 1
