"""Calibration: log p(label word | text) - log p(label word | "N/A"), from the direct output without a second pass."""

import json
import math

import pytest

from llama import LLaMA
from preprocess.errors import InputError

FIELDS = ["id", "label_words", "ground_truth", "prediction", "correct", "score"]


@pytest.mark.parametrize("score_eos", [True, False])
def test_scores_are_the_definition(evaluate, direct, definition, tmp_path, score_eos):
    """log p - log p_cf with logsumexp 0, for both sets of label words in the file, with EOS as in the direct output."""
    inputs, output = direct.values()
    scored, meta = evaluate("direct", output, data_path=inputs, score_eos=score_eos, overwrite=True)
    rows, calibrated = evaluate("direct_calibrate", tmp_path / "outputs.json", **direct)

    def log_probs(example, text):
        tokens = [definition.log_probs(*pair) for pair in definition.pairs(example, text)]
        return [sum(values if score_eos else values[:-1]) for values in tokens]

    for example, row in zip(json.loads(inputs.read_text()), rows, strict=True):
        given, free = log_probs(example, definition.cut(example)), log_probs(example, "N/A")
        odds = [math.exp(one - other) for one, other in zip(given, free, strict=True)]
        assert list(row) == ([*FIELDS[:5], "group", "score"] if "group" in example else FIELDS)
        assert [math.exp(score) for score in row["score"]] == pytest.approx([odd / sum(odds) for odd in odds], rel=1e-4)
        assert row["prediction"] == example["label_words"][odds.index(max(odds))]
        assert row["correct"] is (row["prediction"] == example["ground_truth"])
    assert [row["prediction"] for row in rows] != [row["prediction"] for row in scored]
    assert calibrated["settings"]["score_eos"] is score_eos
    assert calibrated["seconds"] > meta["seconds"]


def test_only_content_free_prompts_are_scored(evaluate, direct, tmp_path, monkeypatch):
    """One prompt for each set of label words, whatever the number of examples."""
    scored = []
    scoring = LLaMA.scoring
    monkeypatch.setattr(LLaMA, "scoring", lambda self, requests: scored.extend(requests) or scoring(self, requests))
    _, meta = evaluate("direct_calibrate", tmp_path / "outputs.json", **direct)
    assert len(scored) == 4 + 3
    own = sum(len(request.target) + 1 for request in scored)
    assert meta["tokens_scored"] == own + json.loads((tmp_path / "direct.meta.json").read_text())["tokens_scored"]


def test_dtype_is_that_of_the_direct_output(evaluate, direct, tmp_path):
    inputs, output = direct.values()
    evaluate("direct", output, data_path=inputs, dtype="bfloat16", overwrite=True)
    _, narrow = evaluate("direct_calibrate", tmp_path / "outputs.json", **direct)
    output.with_suffix(".meta.json").unlink()
    _, wide = evaluate("direct_calibrate", tmp_path / "outputs.json", **direct, overwrite=True)
    assert (narrow["dtype"], wide["dtype"]) == ("bfloat16", "float32")
    assert narrow["content_free"] != wide["content_free"]


def test_direct_output_without_meta_file(evaluate, direct, tmp_path):
    """The same scores; information of the meta file is unknown."""
    expected, _ = evaluate("direct_calibrate", tmp_path / "outputs.json", **direct)
    (tmp_path / "direct.meta.json").unlink()
    rows, meta = evaluate("direct_calibrate", tmp_path / "bare.json", **direct)
    assert rows == expected
    assert meta["seconds"] is meta["tokens_scored"] is meta["cut"] is None


def test_other_checkpoint_than_that_of_the_direct_output(evaluate, direct, without_model, make_checkpoint, tmp_path):
    other = make_checkpoint(tmp_path / "other", seed=1)
    message = r"--ckpt_dir .*/other: fingerprint \w{12}…, .*/direct.json was made with \w{12}… \(random\)"
    with without_model(), pytest.raises(InputError, match=message):
        evaluate("direct_calibrate", tmp_path / "outputs.json", **direct, ckpt_dir=other)


@pytest.mark.parametrize("method", ["channel", "generate"])
def test_output_of_another_method(evaluate, write_prompts, without_model, tmp_path, method):
    evaluate(method, tmp_path / "o.json", data_path=write_prompts("channel" if method == "channel" else "direct"))
    flags = {"direct_input_path": write_prompts("direct"), "direct_output_path": tmp_path / "o.json"}
    with (
        without_model(),
        pytest.raises(InputError, match=rf"o.json: predictions of {method}, expected those of"),
    ):
        evaluate("direct_calibrate", tmp_path / "outputs.json", **flags)


def test_direct_output_of_another_version_of_the_inputs(evaluate, direct, without_model, tmp_path):
    """The ids are the same, but a text differs, which the hash detects."""
    inputs = direct["direct_input_path"]
    inputs.write_text(inputs.read_text().replace("stopped play", "stopped"))
    message = r"direct.json: does not match .*inputs_direct_news.json: the hashes differ; it was made from .*news.json"
    with without_model(), pytest.raises(InputError, match=message):
        evaluate("direct_calibrate", tmp_path / "outputs.json", **direct)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(), "does not match .*: 14 rows, but .* has 15 examples"),
        (lambda rows: rows[2].update(id="x"), r"does not match .*: row 2 is \('x', .*but \('empty', "),
        (
            lambda rows: rows[0]["label_words"].reverse(),
            r"does not match .*: row 0 has the label words \['Science and",
        ),
        (lambda rows: rows[1].pop("log_probs"), "row 1: expected 'log_probs' with one number for each"),
        (lambda rows: rows[1]["log_probs"].pop(), "row 1: expected 'log_probs' with one number for each"),
        (lambda rows: rows[3]["log_probs"].append(-1.0), "row 3: expected 'log_probs' with one number for each"),
        (lambda rows: rows[3].update(log_probs="-1.0"), "row 3: expected 'log_probs' with one number for each"),
        (
            lambda rows: rows[4]["log_probs"].__setitem__(1, math.nan),
            "row 4: 'log_probs' contains something other than fin",
        ),
        (
            lambda rows: rows[4]["log_probs"].__setitem__(1, -math.inf),
            "row 4: 'log_probs' contains something other than",
        ),
        (
            lambda rows: rows[4]["log_probs"].__setitem__(1, "-1"),
            "row 4: 'log_probs' contains something other than finite",
        ),
    ],
)
def test_unrelated_direct_output_without_meta_file(evaluate, direct, without_model, tmp_path, change, message):
    """The rows are compared with the inputs."""
    path = direct["direct_output_path"]
    path.with_suffix(".meta.json").unlink()
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))
    with without_model(), pytest.raises(InputError, match=rf"direct.json: {message}"):
        evaluate("direct_calibrate", tmp_path / "outputs.json", **direct)


def test_a_result_from_another_direct_output_is_not_finished(evaluate, direct, without_model, tmp_path):
    evaluate("direct_calibrate", tmp_path / "outputs.json", **direct)
    inputs, output = direct.values()
    evaluate("direct", output, data_path=inputs, dtype="bfloat16", overwrite=True)
    old, new = (rf"{{'direct_sha256': '\w{{12}}…', 'dtype': '{dtype}'}}" for dtype in ("float32", "bfloat16"))
    with (
        without_model(),
        pytest.raises(InputError, match=rf"outputs.json: exists with settings {old}, now {new}; --over"),
    ):
        evaluate("direct_calibrate", tmp_path / "outputs.json", **direct)


def test_no_room_for_the_content_free_text(evaluate, direct, without_model, definition, tmp_path):
    """If it were silently cut, the calibration would be another one."""
    row = json.loads(direct["direct_input_path"].read_text())[0]
    room = max(len(definition.tokens(*pair)) for pair in definition.pairs(row, ""))
    message = r"inputs_direct_news.json: id '.*' is too long: 'N/A' does not fit \(--max_seq_len\)"
    with without_model(), pytest.raises(InputError, match=message):
        evaluate("direct_calibrate", tmp_path / "outputs.json", **direct, max_seq_len=room)


def test_missing_direct_output(evaluate, write_prompts, without_model, tmp_path):
    flags = {"direct_input_path": write_prompts("direct"), "direct_output_path": tmp_path / "absent.json"}
    with without_model(), pytest.raises(InputError, match=r"absent.json: no such file \(--direct_output_path\)"):
        evaluate("direct_calibrate", tmp_path / "outputs.json", **flags)
