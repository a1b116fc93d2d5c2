"""Classification of a list of texts: labels and probabilities against the definition, one sequence at a time."""

import numpy as np
import pytest

from llama import load

TEXTS = ["rain stopped play", "the market today", " a {label_word} of {text} ", ""]
WORDS = ["World", "Sports", "Science and technology"]
DEMONSTRATIONS = [("It rained", "World"), ("The market {text}", "Sports")]
SHOWN = {
    "direct": "Article: It rained\nCategory: World\nArticle: The market {text}\nCategory: Sports\n",
    "channel": "Category: World\nArticle: It rained\nCategory: Sports\nArticle: The market {text}\n",
}


@pytest.fixture(scope="module")
def llama(make_checkpoint, tmp_path_factory, one_process):
    return load(str(make_checkpoint(tmp_path_factory.mktemp("classify"), max_seq_len=160)))


def definition(llama, method, shown, text, **options):
    """The log-probability of each label word, or of the text after it."""
    if method == "direct":
        pairs = [(f"{shown}Article: {text}\nCategory:", word) for word in WORDS]
    else:
        pairs = [(f"{shown}Category: {word}\nArticle:", text) for word in WORDS]
    return [llama.compute_log_probs([prompt], [scored], **options)[0] for prompt, scored in pairs]


def softmax(rows):
    odds = np.exp(rows - rows.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("score_eos", [True, False])
@pytest.mark.parametrize("demonstrations", [[], DEMONSTRATIONS])
@pytest.mark.parametrize("method", ["direct", "channel"])
def test_scores_are_the_definition(llama, method, demonstrations, score_eos) -> None:
    found = llama.classify(TEXTS, WORDS, method=method, demonstrations=demonstrations, score_eos=score_eos)
    shown = SHOWN[method] if demonstrations else ""
    expected = np.array([definition(llama, method, shown, text.strip(), score_eos=score_eos) for text in TEXTS])
    np.testing.assert_allclose(found.log_probs, expected, atol=1e-3)
    np.testing.assert_allclose(found.probabilities, softmax(expected), atol=1e-3)
    assert found.labels == [WORDS[place] for place in found.log_probs.argmax(axis=1)]
    assert found.cut == []


def test_calibrations_divide(llama) -> None:
    plain = llama.classify(TEXTS, WORDS)
    contextual = llama.classify(TEXTS, WORDS, calibrate="contextual")
    free = softmax(np.array([definition(llama, "direct", "", "N/A")]))
    expected = plain.probabilities / free
    np.testing.assert_allclose(contextual.probabilities, expected / expected.sum(axis=1, keepdims=True), atol=1e-4)
    np.testing.assert_allclose(contextual.log_probs, plain.log_probs, atol=1e-4)
    for method in ("direct", "channel"):
        plain, batch = (llama.classify(TEXTS, WORDS, method=method, calibrate=kind) for kind in (None, "batch"))
        expected = plain.probabilities / plain.probabilities.mean(axis=0)
        np.testing.assert_allclose(batch.probabilities, expected / expected.sum(axis=1, keepdims=True), atol=1e-4)
        assert batch.labels == [WORDS[place] for place in expected.argmax(axis=1)]


@pytest.mark.parametrize(
    ("method", "prompt", "separator", "given", "scored"),
    [
        ("direct", "{text} It was (", "", "{text} It was (", "{word}"),
        ("channel", "Review: {text}!\nSo it was", " ", "So it was {word}\nReview:", "{text}!"),
        ("channel", "It was {label_word}. Review:", " ", "It was {word}. Review:", "{text}"),
        ("channel", "{text}\n答案：", "", "答案：{word}", "{text}"),
        ("channel", "### Input:\n{text}\n\n### Response:", "\n", "### Response:\n{word}\n\n### Input:", "{text}"),
        ("direct", "Review: {text}\nIt was {label_word}!\n", " ", "Review: {text}\nIt was", "{word}!"),
        ("channel", "Review: {text}\nIt was {label_word}!\n", " ", "It was {word}!\nReview:", "{text}"),
    ],
)
def test_other_prompts(llama, method, prompt, separator, given, scored) -> None:
    found = llama.classify(["rain"], WORDS, prompt, method, separator=separator)
    joined = "\n" if given.endswith(("Input:", "答案：{word}")) else separator  # the template's own line break
    filled = [(given.format(text="rain", word=word), scored.format(text="rain", word=word)) for word in WORDS]
    expected = [llama.compute_log_probs([one], [[other]], separator=joined)[0][0] for one, other in filled]
    np.testing.assert_allclose(found.log_probs, [expected], atol=1e-3)


def test_a_long_text_loses_words_and_is_named(llama) -> None:
    found = llama.classify(["rain", "rain stopped " * 100], WORDS)
    assert found.cut == [1]
    assert np.isfinite(found.log_probs).all()
    assert llama.classify([], WORDS).labels == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"texts": "rain"}, "texts 'rain': expected a list of strings, found a single string"),
        ({"texts": [None]}, "texts: item 0 is None, expected a string"),
        ({"label_words": "World"}, "label_words 'World': expected a list of strings, found a single string"),
        ({"label_words": ["World", "World "]}, "expected at least two that read differently"),
        ({"label_words": ["World"]}, "label_words ['World']: expected at least two that read differently"),
        ({"label_words": ["World", "World"]}, "expected at least two that read differently"),
        ({"label_words": ["World", " "]}, "expected at least two that read differently"),
        ({"method": "generate"}, "method 'generate': expected direct or channel"),
        ({"prompt": "Category:"}, "prompt 'Category:': expected it to contain {text} or {label_word}"),
        (
            {"prompt": "{text} is", "method": "channel"},
            "the channel method needs the text and the label word on separate lines",
        ),
        (
            {"demonstrations": [("rain", "Rain")]},
            "demonstrations: found ('rain', 'Rain'), expected (text, one of ['World', ",
        ),
        ({"prompt": "{title}: {text}"}, "unknown field {title}"),
        ({"calibrate": "domain"}, "calibrate 'domain': expected None, 'contextual' or 'batch'"),
        (
            {"calibrate": "contextual", "method": "channel"},
            "supported only for the direct method; use 'batch' for channel",
        ),
        ({"prompt": "rain " * 200 + "{text}"}, "prompt: longer than 160 tokens with its demonstrations"),
    ],
)
def test_refused_inputs(llama, options, message) -> None:
    with pytest.raises(ValueError) as error:
        llama.classify(**{"texts": ["rain"], "label_words": WORDS} | options)
    assert message in str(error.value)


@pytest.mark.parametrize("ending", ["", " ", "  "])
@pytest.mark.parametrize("method", ["direct", "channel"])
def test_demonstrations_are_formatted_like_the_text(llama, method, ending) -> None:
    """In both, spaces at the end of a prompt are the single joining space."""
    prompt = f"Article: {{text}}\nCategory:{ending}"
    found = llama.classify(TEXTS, WORDS, prompt, method, DEMONSTRATIONS)
    expected = llama.classify(TEXTS, WORDS, method=method, demonstrations=DEMONSTRATIONS)
    np.testing.assert_allclose(found.log_probs, expected.log_probs, atol=1e-4)


def test_a_prompt_that_leaves_no_room_for_the_content_free_text(llama) -> None:
    """If the text were cut to nothing, the correction would be another one."""
    prompts = ["x " * number + "{text}\nCategory:" for number in range(20, 160)]
    refused = []
    for prompt in prompts:
        try:
            llama.classify([""], WORDS, prompt, calibrate="contextual")
        except ValueError as error:
            refused.append(str(error))
    assert "prompt: too long; 'N/A' does not fit within 160 tokens" in refused
    assert len(refused) < len(prompts)
