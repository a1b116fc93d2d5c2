"""The other calibrations: each against its definition, with and without a model, and refused combinations."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from options import parse
from evaluate.calibration import CalibrateConfig, evaluate_direct_calibrate
from evaluate.content_free import random_texts
from evaluate.reading import read_checked
from evaluate.result import Result
from llama.corrections import divide_by_batch, match_prior
from preprocess.errors import InputError
from preprocess.prompts import Prompt

FIELDS = ["id", "label_words", "ground_truth", "prediction", "correct", "score"]


def outputs_of(evaluate, path, method, tmp_path, write_prompts):
    """The flags that name an output of direct or channel, and its rows."""
    inputs = write_prompts(method)
    rows, _ = evaluate(method, path, data_path=inputs)
    return {"direct_input_path": inputs, "direct_output_path": path}, rows


@pytest.mark.parametrize("normalize", ["none", "tokens", "characters"])
@pytest.mark.parametrize(
    "flags",
    [
        {"method": "pmi"},
        {"method": "pmi", "premise": "rain"},
        {"method": "domain", "seed": 3},
        {"method": "contextual"},
    ],
)
def test_content_free_prompts_are_the_definition(evaluate, direct, definition, tmp_path, flags, normalize):
    """p / mean of p over the content-free prompts, length-normalised if requested."""
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps(["N/A", "", "[MASK]"]))
    more = {"content_free": str(texts)} if flags["method"] == "contextual" else {}
    rows, meta = evaluate("direct_calibrate", tmp_path / "outputs.json", **direct, **flags, **more, normalize=normalize)
    examples = json.loads(direct["direct_input_path"].read_text())
    scored = json.loads(direct["direct_output_path"].read_text())
    words = [word for example in examples for word in example["text"].split()]

    def distribution(example, pairs, log_probs=None):
        tokens = [definition.log_probs(*pair) for pair in pairs]
        units = {
            "none": [1] * len(tokens),
            "tokens": [len(values) for values in tokens],
            "characters": [len(word) for word in example["label_words"]],
        }[normalize]
        sums = log_probs or [sum(values) for values in tokens]
        odds = [math.exp(value / unit) for value, unit in zip(sums, units, strict=True)]
        return [odd / sum(odds) for odd in odds]

    for place in (0, len(examples) - 1):  # one of each set of label words
        example = examples[place]
        if flags["method"] == "pmi":
            free = [[(flags.get("premise", "Category:"), word) for word in example["label_words"]]]
        elif flags["method"] == "contextual":
            free = [definition.pairs(example, text) for text in ("N/A", "", "[MASK]")]
        else:
            drawn = random_texts([Prompt(row["id"], "", "", row["text"], (), "") for row in examples], 3)
            assert len(drawn) == 20
            assert {word for text in drawn for word in text.split()} <= set(words)
            assert {len(text.split()) for text in drawn} == {round(len(words) / len(examples))}
            free = [definition.pairs(example, definition.cut(example | {"text": text})) for text in drawn]
        given = distribution(example, definition.pairs(example, definition.cut(example)), scored[place]["log_probs"])
        biases = [distribution(example, pairs) for pairs in free]
        odds = [p / sum(bias[i] for bias in biases) for i, p in enumerate(given)]
        found = [math.exp(score) for score in rows[place]["score"]]
        assert found == pytest.approx([odd / sum(odds) for odd in odds], rel=1e-4)
    assert meta["settings"]["calibration"] == flags["method"]
    assert meta["settings"]["normalize"] == normalize


@pytest.mark.parametrize("method", ["direct", "channel"])
@pytest.mark.parametrize(
    ("flags", "correct"),
    [
        ({"method": "batch"}, divide_by_batch),
        ({"method": "batch", "batch_mean": "log"}, lambda scores: divide_by_batch(scores, "log")),
        ({"method": "batch", "batch_examples": 2}, lambda scores: divide_by_batch(scores, examples=2)),
        ({"method": "prior"}, lambda scores: match_prior(scores, np.full(scores.shape[1], 1 / scores.shape[1]))),
    ],
)
def test_no_model_if_no_prompt_is_scored(
    evaluate, write_prompts, without_model, tmp_path, monkeypatch, method, flags, correct
):
    """Only from the predictions, separately for each set of label words, even without the checkpoint."""
    paths, scored = outputs_of(evaluate, tmp_path / "scored.json", method, tmp_path, write_prompts)
    with without_model():
        rows, meta = evaluate("direct_calibrate", tmp_path / "outputs.json", **paths, **flags, ckpt_dir="not/here")
    for count in (4, 3):
        numbers = [number for number, row in enumerate(scored) if len(row["label_words"]) == count]
        numbers.sort(key=lambda number: scored[number]["id"])
        expected = correct(np.array([scored[number]["log_probs"] for number in numbers]))
        assert [rows[number]["score"] for number in numbers] == [pytest.approx(row) for row in expected.tolist()]
    for row, before in zip(rows, scored, strict=True):
        assert row["prediction"] == row["label_words"][row["score"].index(max(row["score"]))]
        assert (row["id"], row["ground_truth"]) == (before["id"], before["ground_truth"])
    source = json.loads((tmp_path / "scored.meta.json").read_text())
    assert meta["method"] == f"{method}_calibrate"
    same = ("fingerprint", "checkpoint", "seconds", "dtype", "prompt_sha256", "cut", "tokens_scored", "tokens_computed")
    assert {key: meta[key] for key in same} == {key: source[key] for key in same}
    other = {"log": ", mean of logs", 2: ", first 2"}.get(flags.get("batch_mean", flags.get("batch_examples")), "")
    assert Result(read_checked(tmp_path / "outputs.json")).method.endswith(f"({flags['method']}{other})")


def test_finished_without_a_model(evaluate, direct, capsys, tmp_path):
    """A repetition is reported; other options are refused."""
    flags = direct | {"method": "batch"}
    evaluate("direct_calibrate", tmp_path / "outputs.json", **flags)
    capsys.readouterr()
    evaluate("direct_calibrate", tmp_path / "outputs.json", **flags)
    assert "outputs.json: already finished" in capsys.readouterr().out
    with pytest.raises(
        InputError, match=r"outputs.json: exists with settings .*'probability'.* now .*'log'.*--overwri"
    ):
        evaluate("direct_calibrate", tmp_path / "outputs.json", **flags, batch_mean="log")
    _, meta = evaluate("direct_calibrate", tmp_path / "outputs.json", **flags, batch_mean="log", overwrite=True)
    assert meta["settings"]["batch_mean"] == "log"


def test_default_paths_distinguish_the_methods(evaluate, direct, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = direct | {"output_path": "", "ckpt_dir": "somewhere/7B"}
    evaluate_direct_calibrate(parse(CalibrateConfig, [f"--{k}={v}" for k, v in (flags | {"method": "batch"}).items()]))
    more = {"method": "none", "normalize": "tokens"}
    evaluate_direct_calibrate(parse(CalibrateConfig, [f"--{k}={v}" for k, v in (flags | more).items()]))
    assert {path.name for path in Path("results/7B").glob("*s.json")} == {
        "outputs_direct_calibrate_batch_news.json",
        "outputs_direct_calibrate_tokens_news.json",
    }


@pytest.mark.parametrize("units", ["tokens", "characters"])
def test_length_normalised_direct(evaluate, direct, tmp_path, units):
    """argmax of log p divided by the length; EOS counts as a token if it is scored."""
    scored = json.loads(direct["direct_output_path"].read_text())
    rows, _ = evaluate("direct_calibrate", tmp_path / "outputs.json", **direct, method="none", normalize=units)
    for row, before in zip(rows, scored, strict=True):
        lengths = [n + 1 for n in before["num_tokens"]] if units == "tokens" else [len(w) for w in row["label_words"]]
        shares = [value / length for value, length in zip(before["log_probs"], lengths, strict=True)]
        assert row["prediction"] == row["label_words"][shares.index(max(shares))]
    assert [row["prediction"] for row in rows] != [row["prediction"] for row in scored]


def test_prior_of_the_train_split_and_of_a_file(evaluate, write_prompts, tmp_path, without_model):
    counts = {"World": 4, "Sports": 3, "Business": 2, "Science and technology": 1, "today": 1, "of": 2, "market": 5}
    inputs = write_prompts("direct", meta={"dataset": "news", "k": 1, "train_counts": counts})
    evaluate("direct", tmp_path / "direct.json", data_path=inputs)
    flags = {"direct_input_path": inputs, "direct_output_path": tmp_path / "direct.json", "method": "prior"}
    (tmp_path / "prior.json").write_text(json.dumps({word: count / 10 for word, count in counts.items()}))
    with without_model():
        trained, _ = evaluate("direct_calibrate", tmp_path / "train.json", **flags, prior="train")
        filed, _ = evaluate("direct_calibrate", tmp_path / "file.json", **flags, prior=tmp_path / "prior.json")
    for one, other in zip(trained, filed, strict=True):
        assert one["score"] == pytest.approx(other["score"])
    mean = np.mean([np.exp(row["score"]) for row in trained if len(row["label_words"]) == 3], axis=0)
    assert mean.tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert Result(read_checked(tmp_path / "file.json")).method == "calibrated (prior, not uniform)"


def test_the_train_split_of_a_prompt_file_without_demonstrations_is_unknown(evaluate, write_prompts, tmp_path):
    inputs = write_prompts("direct", meta={"dataset": "news", "k": 0, "train_counts": {"World": 0, "Sports": 0}})
    evaluate("direct", tmp_path / "direct.json", data_path=inputs)
    flags = {"direct_input_path": inputs, "direct_output_path": tmp_path / "direct.json", "method": "prior"}
    with pytest.raises(InputError, match=r"its meta file: the train split was not read \(k = 0\)"):
        evaluate("direct_calibrate", tmp_path / "train.json", **flags, prior="train")


@pytest.mark.parametrize("flag", ["direct_input_path", "direct_output_path"])
def test_what_is_read_is_not_replaced(evaluate, direct, flag):
    before = direct[flag].read_bytes()
    with pytest.raises(InputError, match=f"is the --{flag}, which would be lost"):
        evaluate("direct_calibrate", direct[flag], **direct, method="batch", overwrite=True)
    assert direct[flag].read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"method": "magic"}, "--method magic: expected contextual, domain, pmi, batch, prior, none"),
        ({"normalize": "words"}, "--normalize words: expected none, tokens, characters"),
        ({"method": "batch", "batch_mean": "median"}, "--batch_mean median: expected probability, log"),
        ({"method": "batch", "batch_examples": -1}, "--batch_examples -1: expected 0 or more"),
        ({"method": "none"}, "--method none: with --normalize none it changes nothing"),
        ({"method": "pmi", "content_free": "x.json"}, "--content_free: only for --method contextual, not pmi"),
        ({"premise": "Category:"}, "--premise: only for --method pmi, not contextual"),
        ({"method": "batch", "prior": "train"}, "--prior: only for --method prior, not batch"),
        ({"method": "pmi", "batch_mean": "log"}, "--batch_mean: only for --method batch, not pmi"),
        ({"method": "batch", "seed": 7}, "--seed: only for --method domain, not batch"),
    ],
)
def test_flags_that_cannot_be_combined(flags, message):
    with pytest.raises(InputError) as refused:
        CalibrateConfig(**flags)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}', r'texts.json: expected a JSON list of texts, as \["N/A", "", "\[MASK\]"\] \(--content_free\)'),
        ("[]", "texts.json: expected a JSON list of texts"),
        ('["N/A", 1]', "texts.json: expected a JSON list of texts"),
    ],
)
def test_invalid_content_free_files(evaluate, direct, without_model, tmp_path, content, message):
    (tmp_path / "texts.json").write_text(content)
    with without_model(), pytest.raises(InputError, match=message):
        evaluate("direct_calibrate", tmp_path / "o.json", **direct, content_free=tmp_path / "texts.json")


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"World": 1}, "prior.json: share of 'Sports' is None, expected a number above 0 for each label word"),
        ([1, 2], "prior.json: share of 'World' is None"),
        ({"World": 0}, "prior.json: share of 'World' is 0, expected a number above 0"),
        ({"World": "many"}, "prior.json: share of 'World' is 'many'"),
        ({"World": 1, "Sport": 1}, "prior.json: 'Sport' is no label word "),
    ],
)
def test_invalid_priors(evaluate, direct, without_model, tmp_path, shares, message):
    (tmp_path / "prior.json").write_text(json.dumps(shares))
    with without_model(), pytest.raises(InputError, match=message):
        evaluate("direct_calibrate", tmp_path / "o.json", **direct, method="prior", prior=tmp_path / "prior.json")
    with without_model(), pytest.raises(InputError, match=r"news.json: its meta file: share of 'World' is None"):
        evaluate("direct_calibrate", tmp_path / "o.json", **direct, method="prior", prior="train")


def test_channel_has_no_length_and_no_content_free_prompt(evaluate, write_prompts, without_model, tmp_path):
    paths, _ = outputs_of(evaluate, tmp_path / "scored.json", "channel", tmp_path, write_prompts)
    message = "--normalize tokens: has no effect on predictions of channel .*scored.json.*, where all label words"
    with without_model(), pytest.raises(InputError, match=message):
        evaluate("direct_calibrate", tmp_path / "o.json", **paths, method="batch", normalize="tokens")
    message = r"scored.json: predictions of channel, expected those of direct \(--method batch and prior also"
    with without_model(), pytest.raises(InputError, match=message):
        evaluate("direct_calibrate", tmp_path / "o.json", **paths, method="pmi")


def test_a_prompt_that_ends_with_its_text(evaluate, write_prompts, make_rows, without_model, tmp_path):
    rows = make_rows("direct", {"one": "rain"})
    for row in rows:
        row["prompt"] = "Article: {text}"
    inputs = write_prompts("direct", rows)
    evaluate("direct", tmp_path / "direct.json", data_path=inputs)
    flags = {"direct_input_path": inputs, "direct_output_path": tmp_path / "direct.json", "method": "pmi"}
    with (
        without_model(),
        pytest.raises(InputError, match=r"id 'one': no text after {text} in its prompt; give a --prem"),
    ):
        evaluate("direct_calibrate", tmp_path / "o.json", **flags)


@pytest.mark.parametrize("flags", [{"method": "domain"}, {"method": "batch", "batch_examples": 3}, {"method": "batch"}])
def test_the_order_of_the_file_changes_nothing(evaluate, tmp_path, write_prompts, flags):
    rows = json.loads(write_prompts("direct").read_text())
    scores = []
    for name, order in (("one", rows), ("other", rows[1::2] + rows[::-2])):
        inputs, output = tmp_path / f"inputs_{name}.json", tmp_path / f"outputs_{name}.json"
        inputs.write_text(json.dumps(order))
        evaluate("direct", output, data_path=inputs)
        files = {"direct_input_path": inputs, "direct_output_path": output}
        found, _ = evaluate("direct_calibrate", tmp_path / f"outputs_corrected_{name}.json", **files, **flags)
        scores.append({row["id"]: row["score"] for row in found})
    assert [row["id"] for row in rows] != sorted(scores[0])
    for key, score in scores[0].items():
        assert scores[1][key] == pytest.approx(score, abs=1e-5)
