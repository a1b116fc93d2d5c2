"""Predictions files that do not belong to their prompt and meta files are refused."""

import json
import math

import pytest

from evaluate import reading
from evaluate.reading import read_checked, read_results
from evaluate.table import TableConfig, print_table
from preprocess.errors import InputError
from tests.evaluate.tables import rewrite


@pytest.mark.parametrize("name", ["outputs_channel_news.json", "outputs_channel_calibrate_batch_news.json"])
def test_rows_without_label_words_are_read_by_the_prompt_file(name, tmp_path, table, capsys):
    """Files of earlier versions and other programs, with scores but without ids and ground truths."""
    words = ["World", "Sports"]
    prompt = {"prompt": "", "completion": "", "text": "", "label_words": words}
    prompts = [prompt | {"id": f"test-{n}", "ground_truth": words[n % 2], "group": f"p{n}"} for n in range(4)]
    rows = [{"prediction": "World", "correct": n % 2 == 0, "log_probs": [-1.0, -2.0]} for n in range(4)]
    path = tmp_path / name
    path.write_text(json.dumps(rows))
    (row,) = table(path, columns="accuracy,macro_f1,nll")
    assert (row["accuracy"], row["macro-F1"], row["NLL"]) == ("0.5", "-", "-")
    (tmp_path / "inputs_channel_news.json").write_text(json.dumps(prompts))
    (row,) = table(path, columns="accuracy,macro_f1,nll")
    assert (row["accuracy"], row["macro-F1"]) == ("0.5", f"{(2 / 3 + 0) / 2:.6g}")
    assert row["NLL"] == f"{(math.log(1 + math.exp(-1)) * 2 + math.log(1 + math.e) * 2) / 4:.6g}"
    found = read_checked(path)
    assert [(row["id"], row["group"], row["label_words"]) for row in found.rows] == [
        (f"test-{n}", f"p{n}", words) for n in range(4)
    ]
    (tmp_path / "inputs_channel_news.json").write_text(json.dumps(prompts[1:]))  # another file of that name
    assert "label_words" not in read_checked(path).rows[0]
    assert "no matching prompt file: 4 rows, but" in capsys.readouterr().err
    rows[1]["log_probs"] = [0.0]
    path.write_text(json.dumps(rows))
    (tmp_path / "inputs_channel_news.json").write_text(json.dumps(prompts))
    with pytest.raises(InputError, match="row 1: expected 'log_probs' with one number for each"):
        read_checked(path)


def test_paths_without_predictions(tmp_path, write_answers):
    (tmp_path / "empty").mkdir()
    write_answers("empty/other.json")
    with pytest.raises(InputError, match=r"empty: contains no outputs_\*.json"):
        print_table(TableConfig((str(tmp_path / "empty"),)))
    with pytest.raises(InputError, match=r"absent: no such file or folder"):
        print_table(TableConfig((str(tmp_path / "absent"),)))
    with pytest.raises(InputError, match=r"--format html: expected markdown, latex, csv"):
        TableConfig(format="html")


def test_outputs_of_an_evaluation_belong_together(outputs, table, tmp_path):
    """With and without the input: the table needs only output and meta file."""
    with_input = table(outputs)
    assert (with_input[0]["dataset"], with_input[0]["k"], with_input[0]["checkpoint"]) == ("news", "1", "random")
    (tmp_path / "inputs_direct_news.json").unlink()
    assert table(outputs) == with_input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(), r"14 rows, but .*inputs_direct_news.json has 15 examples"),
        (
            lambda rows: rows.reverse(),
            r"row 0 is \('page-4', 'of'\), but \('plain', .*\) in .*inputs_direct_news.json",
        ),
        (lambda rows: rows[3].update(id="x"), r"row 3 is \('x', 'Science.*, but \('braces', 'Science.* in .*news.json"),
        (lambda rows: rows[1].update(ground_truth="World", correct=True), r"row 1 is .* 'World'\), but .* 'Sports'\)"),
        (lambda rows: rows.append(rows[0]), "row 15: duplicate id 'plain'"),
        (lambda rows: rows[0].update(correct=not rows[0]["correct"]), "row 0: 'correct' is .*, which contradicts"),
    ],
)
def test_rows_that_do_not_belong_to_their_input(outputs, change, message):
    rewrite(outputs, change)
    with pytest.raises(InputError, match=rf"outputs_direct_news.json: {message}"):
        read_checked(outputs)


def test_files_that_were_changed_afterwards(outputs, tmp_path):
    """An edited output, a meta file with another count, a changed input: each error names the file and the reason."""
    inputs, meta = tmp_path / "inputs_direct_news.json", outputs.with_suffix(".meta.json")
    before = inputs.read_text(), outputs.read_text(), meta.read_text()
    inputs.write_text(before[0].replace("stopped", "began"))
    with pytest.raises(InputError, match=r"outputs_direct_news.json: was made from another version of .*inputs_direct"):
        read_checked(outputs)
    inputs.write_text(before[0])
    outputs.write_text(before[1].replace('"num_tokens"', '"tokens"'))
    with pytest.raises(InputError, match=r"does not match outputs_direct_news.meta.json: it was edited"):
        read_checked(outputs)
    outputs.write_text(before[1])
    meta.write_text(json.dumps(json.loads(before[2]) | {"num_examples": 7600}))
    with pytest.raises(InputError, match=r"outputs_direct_news.json: 15 rows, but its meta file states 7600"):
        read_checked(outputs)


@pytest.mark.parametrize("has_meta", [True, False])
def test_predictions_of_another_system(tmp_path, has_meta):
    """The names of the files state method and prompts; what the prompts' meta file knows is in the tables."""
    prompt = {"prompt": "{text}", "completion": "{label_word}", "text": "Rain.", "label_words": ["Sports", "World"]}
    prompts = [prompt | {"id": name, "ground_truth": "Sports"} for name in "ab"]
    (tmp_path / "inputs_direct_news_k1_seed2.json").write_text(json.dumps(prompts))
    if has_meta:
        about = {"dataset": "news", "k": 1, "seed": 2}
        (tmp_path / "inputs_direct_news_k1_seed2.meta.json").write_text(json.dumps(about))
    rows = [{"prediction": "Sports", "correct": True}, {"prediction": "World", "correct": False}]
    (tmp_path / "outputs_my_system_news_k1_seed2.json").write_text(json.dumps(rows))
    (result,) = read_results([str(tmp_path)])
    assert (result.ids, result.truths) == (["a", "b"], ["Sports", "Sports"])
    expected = ("my_system", "news", 1, 2) if has_meta else (None,) * 4
    assert (result.method, result.dataset, result.k, result.seed) == expected


def test_a_damaged_meta_file_of_prompts(tmp_path):
    prompt = {"prompt": "{text}", "completion": "{label_word}", "text": "Rain.", "label_words": ["Sports", "World"]}
    (tmp_path / "inputs_direct_x.json").write_text(json.dumps([prompt | {"ground_truth": "World"}]))
    (tmp_path / "inputs_direct_x.meta.json").write_text('{"k": "one"}')
    (tmp_path / "outputs_mine_x.json").write_text('[{"prediction": "World", "correct": true}]')
    with pytest.raises(InputError, match=r"inputs_direct_x\.meta\.json: 'k' is 'one', expected a whole number"):
        read_results([str(tmp_path)])


def test_a_prompt_file_is_read_once(root, monkeypatch):
    read = []
    hashed = reading.read_hashed_json
    monkeypatch.setattr(reading, "read_hashed_json", lambda path, flag: read.append(path) or hashed(path, flag))
    monkeypatch.chdir(root)
    results = read_results(["samples"])
    assert len(results) > len(read) == len({result.meta["prompt_path"] for result in results})


def test_a_prediction_that_is_no_label_word_is_refused(tmp_path):
    """It would count as a class of its own in macro-F1."""
    words = ["World", "Sports"]
    rows = [{"label_words": words, "ground_truth": "World", "prediction": "world", "correct": False}]
    (tmp_path / "outputs_mine.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match=r"row 0: prediction 'world' is no label word \(World, Sports\)"):
        read_results([str(tmp_path)])
    (tmp_path / "outputs_mine.json").write_text(json.dumps([rows[0] | {"prediction": None}]))
    assert read_results([str(tmp_path)])[0].unanswered == 1
