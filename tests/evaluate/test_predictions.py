"""Predictions files: finished ones are recognized, others are not overwritten unasked, invalid ones are refused."""

import hashlib
import json

import pytest

from evaluate.predictions import finished, read_predictions, write_predictions
from llama import open_checkpoint
from preprocess.errors import InputError
from preprocess.files import write_bytes

METHODS = ("direct", "direct_calibrate", "channel", "generate")
ROW = {"id": "a", "prediction": "Text", "ground_truth": "Title", "correct": False}
WORDED = ROW | {"label_words": ["Text", "Title"]}


@pytest.mark.parametrize("method", METHODS)
def test_the_same_command_twice(run, without_model, tmp_path, capsys, method):
    """It reports the finished result without loading the model; with --overwrite, it writes the same bytes again."""
    _, meta = run(method)
    path = tmp_path / "outputs.json"
    before = path.read_bytes(), path.stat().st_mtime_ns, path.with_suffix(".meta.json").read_bytes()
    capsys.readouterr()
    with without_model():
        run(method, max_batch_size=1)  # no part of what the result depends on
    said = "already finished with the same inputs, options and checkpoint; --overwrite repeats it"
    assert capsys.readouterr().out == f"{path}: {said}\n"
    assert before == (path.read_bytes(), path.stat().st_mtime_ns, path.with_suffix(".meta.json").read_bytes())
    _, again = run(method, overwrite=True)
    assert path.read_bytes() == before[0]
    assert path.stat().st_mtime_ns > before[1]
    for timed in (meta, again):
        assert timed.pop("seconds") > 0
        del timed["configuration"]
    assert again == meta


@pytest.mark.parametrize(
    ("method", "flags", "named"),
    [
        ("direct", {"score_eos": False}, "{'score_eos': True}, now {'score_eos': False}"),
        ("channel", {"dtype": "bfloat16"}, "{'dtype': 'float32'}, now {'dtype': 'bfloat16'}"),
        ("direct", {"max_seq_len": 150}, "{'max_seq_len': 160}, now {'max_seq_len': 150}"),
        ("generate", {"seed": 7, "max_gen_len": 2}, "{'max_gen_len': 8, 'seed': 1}, now {'max_gen_len': 2, 'seed': 7}"),
    ],
)
def test_other_options_are_an_error_that_names_them(run, without_model, tmp_path, method, flags, named):
    run(method)
    path = tmp_path / "outputs.json"
    before = path.read_bytes()
    with without_model(), pytest.raises(InputError) as error:
        run(method, **flags)
    assert (
        str(error.value)
        == f"{path}: exists with settings {named}; --overwrite replaces it, another --output_path keeps it"
    )
    assert path.read_bytes() == before
    _, meta = run(method, **flags, overwrite=True)
    assert meta["settings"].items() >= flags.items()
    assert path.read_bytes() != before


def test_another_checkpoint_or_method_or_other_inputs_are_an_error(
    run, without_model, make_checkpoint, write_prompts, evaluate, tmp_path
):
    """Hashes are shortened in the message."""
    _, meta = run("direct")
    path = tmp_path / "outputs.json"
    other = make_checkpoint(tmp_path / "other", seed=1, max_seq_len=160)
    fingerprints = [digest[:12] for digest in (meta["fingerprint"], open_checkpoint(str(other)).fingerprint())]
    with without_model():
        with pytest.raises(
            InputError, match=r"exists with fingerprint {}…, now {}…; --overwrite".format(*fingerprints)
        ):
            run("direct", ckpt_dir=other)
        with pytest.raises(InputError, match=r"exists with method direct, now generate; --overwrite"):
            run("generate")
        inputs = write_prompts("direct", json.loads((tmp_path / "inputs_direct_news.json").read_text())[1:])
        hashes = [digest[:12] for digest in (meta["prompt_sha256"], hashlib.sha256(inputs.read_bytes()).hexdigest())]
        with pytest.raises(InputError, match=r"exists with prompt_sha256 {}…, now {}…; --overwrite".format(*hashes)):
            evaluate("direct", path, data_path=inputs)


def test_an_output_that_contradicts_its_meta_file_is_not_finished(run, without_model, tmp_path):
    run("direct")
    path = tmp_path / "outputs.json"
    path.write_text(path.read_text().replace('"World"', '"world"'))
    with without_model():
        with pytest.raises(InputError, match=r"does not match outputs.meta.json: it was edited"):
            run("direct")
        path.with_suffix(".meta.json").unlink()
        with pytest.raises(InputError, match=r"outputs.json: exists without a meta file; --overwrite replaces it"):
            run("direct")
    run("direct", overwrite=True)


def test_interrupted_writing_leaves_no_meta_file_of_another_run(tmp_path, monkeypatch):
    """Without a meta file, the output is not a finished result."""
    path = tmp_path / "outputs.json"
    write_predictions(path, [ROW], {"method": "direct"})
    write = write_bytes
    monkeypatch.setattr(
        "preprocess.files.write_bytes",
        lambda to, *rest: pytest.fail("no space left") if to.name.endswith(".meta.json") else write(to, *rest),
    )
    with pytest.raises(pytest.fail.Exception, match="no space left"):
        write_predictions(path, [ROW], {"method": "generate"})
    assert {file.name for file in tmp_path.iterdir()} == {"outputs.json", ".outputs.json.unfinished"}
    assert finished(path, {}, overwrite=False, begun=False) is None  # it belongs to this run: the same command resumes


TYPES = "expected 'prediction' to be a string or null, and 'correct' to be true or false"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file (FILES)"),
        ({}, "expected a non-empty list of predictions (FILES)"),
        ([], "expected a non-empty list of predictions (FILES)"),
        ([ROW, 3], "row 1: expected an object"),
        ([{"prediction": None}], "row 0: field 'correct' is missing"),
        ([{"correct": True}], "row 0: field 'prediction' is missing"),
        ([ROW | {"prediction": 3}], f"row 0: {TYPES}"),
        ([ROW | {"correct": 0}], f"row 0: {TYPES}"),
        ([ROW | {"id": 3}], "row 0: 'id' is 3, expected a string"),
        ([ROW, ROW | {"id": "b"}, ROW], "row 2: duplicate id 'a'"),
        ([ROW | {"label_words": None}], "row 0: 'label_words' is None, expected a non-empty list of strings"),
        ([ROW | {"label_words": []}], "row 0: 'label_words' is [], expected a non-empty list of strings"),
        (
            [ROW | {"label_words": ["a", 1]}],
            "row 0: 'label_words' is ['a', 1], expected a non-empty list of strings",
        ),
        ([ROW | {"ground_truth": 3}], "row 0: 'ground_truth' is 3, expected a string"),
        ([ROW | {"generation": None}], "row 0: 'generation' is None, expected a string"),
        ([ROW | {"log_probs": 3}], "row 0: expected 'log_probs' with one number for each label word"),
        ([ROW | {"log_probs": [-1.0, "x"]}], "row 0: 'log_probs' contains something other than finite numbers"),
        ([WORDED | {"log_probs": [-1.0]}], "row 0: expected 'log_probs' with one number for each label word"),
        ([WORDED | {"score": [-1.0]}], "row 0: expected 'score' with one number for each label word"),
        ([WORDED | {"score": [-1.0, "x"]}], "row 0: 'score' contains something other than finite numbers"),
        ([WORDED | {"score": [-1.0, float("nan")]}], "row 0: 'score' contains something other than finite numbers"),
        ([ROW | {"correct": True}], "row 0: 'correct' is True, which contradicts prediction and ground_truth"),
        ([ROW | {"ground_truth": "Text"}], "row 0: 'correct' is False, which contradicts prediction and ground_truth"),
    ],
)
def test_invalid_predictions_files(tmp_path, content, message):
    path = tmp_path / "outputs.json"
    if content is not None:
        path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        read_predictions(path, "FILES")
    assert str(error.value) == f"{path}: {message}"


def test_files_of_the_original_form(tmp_path):
    """Without ids, ground truths and meta file, the file itself states which predictions are correct."""
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps([{"prediction": "Text", "correct": True}, {"prediction": None, "correct": False}]))
    read = read_predictions(path, "FILES")
    assert read.meta is None
    assert [(row["id"], row["correct"]) for row in read.rows] == [("0", True), ("1", False)]


def test_invalid_meta_file(tmp_path):
    path = tmp_path / "outputs.json"
    write_predictions(path, [ROW], {"method": "direct"})
    assert read_predictions(path, "FILES").meta["method"] == "direct"
    path.with_suffix(".meta.json").write_text("[]")
    with pytest.raises(InputError, match=r"outputs.meta.json: \[\], expected an object$"):
        read_predictions(path, "FILES")


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"seconds": float("nan")}, "'seconds' is nan, expected a finite number, 0 or more"),
        ({"cut": True}, "'cut' is True, expected a list of strings"),
        ({"settings": []}, r"'settings': \[\], expected an object"),
        ({"prompt": {"k": "1"}}, "'prompt': 'k' is '1', expected a whole number, 0 or more"),
        ({"checkpoint": {}}, r"'checkpoint' is \{\}, expected a string"),
    ],
)
def test_a_meta_file_of_other_types_is_refused_before_anything_is_written(run, evaluate, tmp_path, entry, line):
    _, meta = run("direct")
    path = tmp_path / "outputs.meta.json"
    path.write_text(json.dumps(meta | entry))
    for method, flags in (("direct", {}), ("direct_calibrate", {"direct_output_path": tmp_path / "outputs.json"})):
        name = "direct_input_path" if flags else "data_path"
        flags = flags | {name: tmp_path / "inputs_direct_news.json"}
        output = tmp_path / ("outputs.json" if method == "direct" else "other.json")
        with pytest.raises(InputError, match=rf"outputs\.meta\.json: {line}$"):
            evaluate(method, output, **flags)
    assert not (tmp_path / "other.json").exists()
