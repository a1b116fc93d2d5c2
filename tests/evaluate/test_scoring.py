"""Direct and channel, compared with the definition computed one sequence at a time."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from evaluate.scoring import label_scores, sum_log_probs
from llama import CheckpointError

OTHER_WORDS = ["today", "of", "market"]  # of one token each
FIELDS = ["id", "label_words", "ground_truth", "prediction", "correct", "log_probs", "eos_log_probs", "num_tokens"]


@pytest.mark.parametrize("score_eos", [True, False])
@pytest.mark.parametrize("method", ["direct", "channel"])
def test_scores_are_the_definition(evaluate, write_prompts, definition, tmp_path, method, score_eos):
    """All numbers and predictions of a file of unusual texts, within 1e-5 nats per token."""
    path = write_prompts(method)
    rows, meta = evaluate(method, tmp_path / "outputs.json", data_path=path, score_eos=score_eos)
    examples = json.loads(path.read_text())
    scored = 0
    for example, row in zip(examples, rows, strict=True):
        tokens = [definition.log_probs(*pair) for pair in definition.pairs(example, definition.cut(example))]
        sums = [sum(values if score_eos else values[:-1]) for values in tokens]
        tolerance = 1e-5 * max(map(len, tokens))
        assert row["log_probs"] == pytest.approx(sums, abs=tolerance, rel=0), row["id"]
        assert row["eos_log_probs"] == pytest.approx([values[-1] for values in tokens], abs=tolerance, rel=0)
        assert row["num_tokens"] == [len(values) - 1 for values in tokens]
        assert row["prediction"] == example["label_words"][sums.index(max(sums))]
        scored += sum(map(len, tokens))
    assert len({row["prediction"] for row in rows}) > 2
    assert meta["tokens_scored"] == scored


@pytest.mark.parametrize("method", ["direct", "channel"])
def test_rows_are_in_order_and_have_these_fields(evaluate, write_prompts, tmp_path, method):
    path = write_prompts(method)
    rows, _ = evaluate(method, tmp_path / "outputs.json", data_path=path)
    for example, row in zip(json.loads(path.read_text()), rows, strict=True):
        grouped = "group" in example
        assert list(row) == ([*FIELDS[:5], "group", *FIELDS[5:]] if grouped else FIELDS)
        assert [row[key] for key in FIELDS[:3]] == [example[key] for key in FIELDS[:3]]
        assert row.get("group") == example.get("group")
        assert row["correct"] is (row["prediction"] == example["ground_truth"])
        assert all(len(row[key]) == len(example["label_words"]) for key in FIELDS[5:])
        assert {type(value) for key in FIELDS[5:7] for value in row[key]} == {float}
        assert {type(value) for value in row["num_tokens"]} == {int}


@pytest.mark.parametrize("separator", ["", "\n", ": "])
@pytest.mark.parametrize("method", ["direct", "channel"])
def test_the_separator_is_that_of_the_row(evaluate, write_prompts, make_rows, definition, tmp_path, method, separator):
    """For both methods, and for calibration, whose content-free prompts have it too."""
    plain = make_rows(method, {"a": "rain stopped play", "b": "the market"})
    rows = [row | {"separator": separator} for row in plain]
    scored, _ = evaluate(method, tmp_path / "outputs.json", data_path=write_prompts(method, rows))

    def log_prob(prompt: str, completion: str) -> float:
        ids = [1, *definition.sp.encode(prompt + separator + completion), 2]
        table = definition.logits(ids[:-1]).double().log_softmax(-1)
        first = len(definition.sp.encode(prompt)) + 1
        return sum(float(table[place - 1, ids[place]]) for place in range(first, len(ids)))

    for example, row in zip(rows, scored, strict=True):
        expected = [log_prob(*pair) for pair in definition.pairs(example, example["text"])]
        assert row["log_probs"] == pytest.approx(expected, abs=1e-3)
    if method == "direct":
        flags = {"direct_input_path": tmp_path / "inputs_direct_news.json"}
        flags["direct_output_path"] = tmp_path / "outputs.json"
        calibrated, meta = evaluate("direct_calibrate", tmp_path / "calibrated.json", **flags)
        expected = [log_prob(*pair) for pair in definition.pairs(rows[0], "N/A")]
        (free,) = meta["content_free"]
        assert free["log_probs"] == pytest.approx(expected, abs=1e-3)
        assert [row["id"] for row in calibrated] == ["a", "b"]


def test_ties_are_reported(evaluate, write_prompts, make_rows, make_checkpoint, tmp_path, capsys):
    """With a zero output matrix, all tokens are equally probable, and words of one token tie: the first is chosen."""
    folder = make_checkpoint(tmp_path / "even")
    weights = torch.load(folder / "consolidated.00.pth")
    weights["output.weight"].zero_()
    torch.save(weights, folder / "consolidated.00.pth")
    path = write_prompts("direct", make_rows("direct", {"a": "rain", "b": "play"}, OTHER_WORDS))
    rows, meta = evaluate("direct", tmp_path / "outputs.json", data_path=path, ckpt_dir=folder)
    assert (meta["ties"], [row["prediction"] for row in rows]) == (2, OTHER_WORDS[:1] * 2)
    said = "warning: 2 of 2 predictions are ties: several label words have the highest score, and the first is used"
    assert said in capsys.readouterr().out.splitlines()
    rows, meta = evaluate("direct", tmp_path / "other.json", data_path=path)
    assert meta["ties"] == 0
    assert "are ties" not in capsys.readouterr().out


def test_a_tokenizer_of_other_weights(evaluate, write_prompts, make_rows, root, tmp_path, capsys):
    """A tokenizer of the same size with its tokens in another order, so that all texts are improbable."""
    tiny = root / "checkpoints/tiny"
    model = ModelProto.FromString((tiny / "tokenizer.model").read_bytes())
    pieces = [piece for piece in model.pieces if piece.type == 1]
    for piece, other in zip(pieces, [piece.piece for piece in pieces][::-1], strict=True):
        piece.piece = other
    (tmp_path / "tokenizer.model").write_bytes(model.SerializeToString())
    flags = {"ckpt_dir": tiny, "data_path": write_prompts("direct", make_rows("direct", {"a": "Rain stopped play."}))}
    evaluate("direct", tmp_path / "right.json", **flags)
    assert "tokenizer" not in capsys.readouterr().err
    evaluate("direct", tmp_path / "wrong.json", **flags, tokenizer_path=tmp_path / "tokenizer.model")
    said = capsys.readouterr().err
    assert "nats, below the -8.3 of a uniform distribution: tokenizer and weights may not" in said


def test_sums_are_taken_in_float64():
    """The sum over a long text is beyond the precision of float32."""
    small, large = torch.tensor([-(2.0**24), -1.0, -1.0, -0.5]), torch.tensor([-3.0, -0.25])
    scores = [sum_log_probs(log_probs) for log_probs in (small, large)]
    details = label_scores(scores, score_eos=True)
    assert details == {
        "log_probs": [-(2.0**24) - 2.5, -3.25],
        "eos_log_probs": [-0.5, -0.25],
        "num_tokens": [3, 1],
    }
    assert label_scores(scores, score_eos=False) == details | {"log_probs": [-(2.0**24) - 2, -3.0]}


@pytest.fixture
def indifferent(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A checkpoint that gives every token the same probability."""
    folder = make_checkpoint(tmp_path / "indifferent")
    weights = torch.load(folder / "consolidated.00.pth", weights_only=True)
    weights["output.weight"].zero_()
    torch.save(weights, folder / "consolidated.00.pth")
    return folder


def test_ties_go_to_the_first_label_word_and_are_counted(evaluate, write_prompts, make_rows, indifferent, tmp_path):
    """Words of one token tie in any order; longer words lose; all calibrated scores tie."""
    words = [["of", "market", "today"], ["today", "of", "market"], ["Science and technology", "market"]]
    rows = [make_rows("direct", {str(n): "rain"}, label_words)[0] for n, label_words in enumerate(words)]
    path = write_prompts("direct", rows)
    direct, meta = evaluate("direct", tmp_path / "d.json", data_path=path, ckpt_dir=indifferent)
    assert [row["prediction"] for row in direct] == ["of", "today", "market"]
    assert meta["ties"] == 2
    flags = {"direct_input_path": path, "direct_output_path": tmp_path / "d.json", "ckpt_dir": indifferent}
    calibrated, meta = evaluate("direct_calibrate", tmp_path / "c.json", **flags)
    assert [row["prediction"] for row in calibrated] == ["of", "today", "Science and technology"]
    assert meta["ties"] == 3


def test_prompt_files_of_the_original_form(evaluate, write_prompts, make_rows, tmp_path):
    """They have no ids, so the row number is the id; the scores are those of the same rows with ids."""
    rows = make_rows("direct")[:4]
    expected, _ = evaluate("direct", tmp_path / "with.json", data_path=write_prompts("direct", rows))
    bare = [{key: value for key, value in row.items() if key != "id"} for row in rows]
    found, _ = evaluate("direct", tmp_path / "without.json", data_path=write_prompts("direct", bare))
    assert found == [row | {"id": str(number)} for number, row in enumerate(expected)]


@pytest.mark.parametrize("method", ["direct", "channel"])
def test_nan_log_probabilities_are_an_error(evaluate, write_prompts, indifferent, tmp_path, method):
    """A model that overflows gives no prediction, and no output is written."""
    weights = torch.load(indifferent / "consolidated.00.pth", weights_only=True)
    weights["norm.weight"].fill_(float("inf"))
    torch.save(weights, indifferent / "consolidated.00.pth")
    with pytest.raises(CheckpointError, match=r"NaN or infinite: .* `dtype`"):
        evaluate(method, tmp_path / "outputs.json", data_path=write_prompts(method), ckpt_dir=indifferent)
    assert not (tmp_path / "outputs.json").exists()
