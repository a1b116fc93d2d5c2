"""Shared by the four methods: batches do not change results, finished work is not repeated, errors are found early."""

import hashlib
import importlib.metadata
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from options import one_message
from evaluate.results_folder import checkpoint_name, default_output
from evaluate.runner import Bar
from llama import open_checkpoint
from llama.parallel import start
from preprocess.errors import InputError

METHODS = ("direct", "direct_calibrate", "channel", "generate")


@pytest.mark.parametrize("method", METHODS)
def test_batch_size_changes_nothing(run, method):
    """Within 1e-5 nats per token; the same predictions and, with greedy decoding, the same text."""
    alone, _ = run(method, "1.json", max_batch_size=1)
    for size in (3, 16):
        rows, _ = run(method, f"{size}.json", max_batch_size=size)
        for one, row in zip(alone, rows, strict=True):
            numbers = row.pop("log_probs", None) or row.pop("score", [])
            expected = one.get("log_probs") or one.get("score", [])
            tolerances = [1e-5 * (tokens + 1) for tokens in row.get("num_tokens", [3] * len(numbers))]
            assert all(abs(a - b) <= t for a, b, t in zip(numbers, expected, tolerances, strict=True)), row["id"]
            assert row.pop("eos_log_probs", []) == pytest.approx(one.get("eos_log_probs", []), abs=1e-5)
            assert row == {key: one[key] for key in row}


@pytest.mark.parametrize("method", METHODS)
def test_meta_file(run, checkpoint, root, tmp_path, method):
    """All entries for the table, and all information that is needed to reproduce the numbers."""
    _, meta = run(method, "new/folder/outputs.json")
    inputs = tmp_path / f"inputs_{'channel' if method == 'channel' else 'direct'}_news.json"
    output = tmp_path / "new/folder/outputs.json"
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False).stdout
    expected = {
        "method": method,
        "prompt_sha256": hashlib.sha256(inputs.read_bytes()).hexdigest(),
        "fingerprint": open_checkpoint(str(checkpoint)).fingerprint(),
        "num_examples": 15,
        "prompt_path": str(inputs),
        "checkpoint": "random",
        "checkpoint_path": str(checkpoint),
        "dtype": "float32",
        "device": "cpu",
        "world_size": 1,
        "model_parallel_size": 1,
        "threads": 1,
        "git_commit": commit.strip() or None,
        "prompt": {"dataset": "news", "k": 1},
        "cut": ["long", "one word"],
        "output_sha256": hashlib.sha256(output.read_bytes()).hexdigest(),
    }
    expected["versions"] = {
        name: importlib.metadata.version(name) for name in ("torch", "sentencepiece", "fairscale", "numpy")
    }
    assert meta.items() >= expected.items()
    assert meta["configuration"]["run"]["max_batch_size"] is None
    assert meta["settings"]["max_seq_len"] == 160
    assert meta["tokens_scored"] > 0
    assert meta["tokens_computed"] > 0
    rest = {"settings", "configuration", "seconds", "tokens_scored", "tokens_computed"}
    rest |= {"ties"} if method != "generate" else set()
    rest |= {"content_free"} if method == "direct_calibrate" else set()
    assert meta.keys() == expected.keys() | rest


def test_checkpoints_of_one_name_have_folders_of_their_own(
    evaluate, write_prompts, make_checkpoint, tmp_path, monkeypatch
):
    """Each run, and each calibration, finds its own folder; the table distinguishes them."""
    monkeypatch.chdir(tmp_path)
    inputs = write_prompts("direct")
    folders = [
        make_checkpoint(tmp_path / name / "original", seed=seed, max_seq_len=160) for seed, name in enumerate("ab")
    ]
    shown = ["original", "b-original"]
    for folder, name in zip(folders, shown, strict=True):
        output = Path(f"results/{name}/outputs_direct_news.json")
        _, meta = evaluate("direct", output, data_path=inputs, output_path="", ckpt_dir=folder)
        assert meta["checkpoint"] == name
    for folder, name in zip(folders, shown, strict=True):
        assert checkpoint_name(str(folder)) == checkpoint_name(f"{folder}/.") == name
        flags = {"direct_input_path": inputs, "output_path": "", "ckpt_dir": folder}
        evaluate("direct_calibrate", Path(f"results/{name}/outputs_direct_calibrate_news.json"), **flags)
    assert checkpoint_name("a/original") == "original"  # seen from here
    shutil.rmtree(folders[1])
    assert checkpoint_name(str(folders[1])) == "b-original"  # it has left results
    assert checkpoint_name("elsewhere/original") == "original"


def test_checkpoints_of_the_hub_have_folders_of_their_own(tmp_path, monkeypatch):
    """For any revision. A checkpoint that was never downloaded cannot have results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("Tiny", "Tiny-2"):
        (tmp_path / f"results/{name}").mkdir(parents=True)
    for owner in ("me", "you"):
        place = tmp_path / f"cache/models--{owner}--Tiny/snapshots/0123"
        place.mkdir(parents=True)
    meta = {"checkpoint_path": str(tmp_path / "cache/models--me--Tiny/snapshots/0123")}
    output = Path("results/Tiny/outputs_direct_news.json")
    output.write_text("[]")
    output.with_suffix(".meta.json").write_text(json.dumps(meta))
    assert checkpoint_name("me/Tiny") == "Tiny"
    assert checkpoint_name("you/Tiny") == "you-Tiny"
    assert checkpoint_name("they/Tiny") == "Tiny"


def test_meta_file_states_the_scaling_of_rotary_frequencies(evaluate, write_prompts, make_checkpoint, tmp_path):
    """Meta's files of Llama 3.1 and later do not contain the factor."""
    folder = make_checkpoint(tmp_path / "scaled", use_scaled_rope=True, max_seq_len=160)
    _, meta = evaluate("direct", tmp_path / "outputs.json", data_path=write_prompts("direct"), ckpt_dir=folder)
    assert meta["rope_scaling"]["kind"] == "llama3"
    assert meta["rope_scaling"]["factor"] == 8


def test_outputs_go_to_a_folder_of_the_checkpoint(evaluate, write_prompts, tmp_path, monkeypatch):
    """Without --output_path; the calibration finds the direct output there."""
    monkeypatch.chdir(tmp_path)
    inputs = write_prompts("direct")
    folder = Path("results/random")
    evaluate("direct", folder / "outputs_direct_news.json", data_path=inputs, output_path="")
    evaluate(
        "direct_calibrate", folder / "outputs_direct_calibrate_news.json", direct_input_path=inputs, output_path=""
    )
    evaluate("generate", folder / "outputs_generate_news.json", data_path=inputs, output_path="")
    evaluate("channel", folder / "outputs_channel_news.json", data_path=write_prompts("channel"), output_path="")
    assert len(list(folder.iterdir())) == 8


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ("samples/inputs_direct_ag_news.json", "results/7B/outputs_generate_ag_news.json"),
        ("real/inputs_channel_doclaynet.json", "results/7B/outputs_generate_doclaynet.json"),
        ("my_prompts.json", "results/7B/outputs_generate_my_prompts.json"),
    ],
)
def test_default_output(inputs, outputs):
    """It is named after the data set; a file with another name keeps its whole name."""
    assert default_output("generate", Path(inputs), "7B") == outputs


def test_summary_on_stdout_and_bar_on_stderr(run, tmp_path, capsys):
    rows, meta = run("generate")
    out, err = capsys.readouterr()
    right, unanswered = sum(row["correct"] for row in rows), sum(row["prediction"] is None for row in rows)
    assert unanswered > 0
    first, warning, last = out.splitlines()
    assert re.fullmatch(
        rf"accuracy {right / 15:.4f}, macro-F1 0\.\d{{4}}, {unanswered} of 15 unanswered, {meta['seconds']:.1f} s",
        first,
    )
    assert warning == (
        "warning: 2 of 15 texts were too long and were cut at their end: long, one word"
        " (all are listed in the meta file)"
    )
    assert last == f"written to {tmp_path / 'outputs.json'}"
    assert re.search(r"\d+/\d+ \[00:00<00:00, ", err)
    assert f"accuracy {right / 15:.4f}" in err
    assert err.endswith("\n")


def test_bar_ends_its_line_when_interrupted(capsys):
    """The next message is on its own line."""
    with pytest.raises(KeyboardInterrupt), Bar(start(), 2, "direct"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err.endswith("\n")


@pytest.mark.parametrize(
    ("method", "flags", "message"),
    [
        ("direct", {"max_seq_len": 0}, "--max_seq_len 0: expected 1 or more"),
        ("direct", {"max_batch_size": -1}, "--max_batch_size -1: expected 1 or more"),
        ("direct", {"max_batch_tokens": 0}, "--max_batch_tokens 0: expected 1 or more"),
        (
            "direct",
            {"model_parallel_size": 2},
            "--model_parallel_size 2: expected a divisor of the number of processes, 1",
        ),
        ("direct", {"model_parallel_size": 3}, "--model_parallel_size 3 does not divide n_heads, 4"),
        ("direct", {"dtype": "float8"}, "--dtype float8: expected auto, float32, bfloat16, float16, int8"),
        ("direct", {"max_seq_len": 30}, "inputs.json: id 'plain' needs 45 tokens even without its text, --max_seq_len"),
        ("direct", {"data_path": "absent.json"}, "absent.json: no such file (--data_path)"),
        ("direct", {"ckpt_dir": "absent"}, "--ckpt_dir absent: no such folder; looked at absent, checkpoints/absent,"),
        ("direct", {"output_path": "inputs.json"}, "--output_path inputs.json: is the prompt file"),
        ("direct", {"output_path": "."}, ".: is a folder, expected a file name (--output_path)"),
        (
            "direct",
            {"output_path": "inputs.json/o.json"},
            "inputs.json/o.json: cannot be written: Not a directory (--output",
        ),
        ("generate", {"temperature": -1}, "--temperature -1.0: expected a finite number, 0 or more"),
        ("generate", {"temperature": "nan"}, "--temperature nan: expected a finite number, 0 or more"),
        ("generate", {"top_p": 1.5}, "--top_p 1.5: expected 0 to 1"),
        ("generate", {"max_gen_len": 0}, "--max_gen_len 0: expected 1 or more"),
        (
            "generate",
            {"max_gen_len": 150},
            "inputs.json: id 'plain' needs 192 tokens even without its text, --max_seq",
        ),
    ],
)
def test_errors_are_found_before_the_model_loads(
    evaluate, write_prompts, without_model, tmp_path, monkeypatch, method, flags, message
):
    """In one line that starts with the file or flag to correct; nothing is written."""
    monkeypatch.chdir(tmp_path)
    write_prompts("direct").rename("inputs.json")
    with without_model(), pytest.raises(ValueError) as error:
        evaluate(method, Path("outputs.json"), **{"data_path": "inputs.json"} | flags)
    assert error.value.exit_status == 2
    assert one_message(error.value).startswith(f"error: {message}")
    assert [path.name for path in tmp_path.iterdir()] == ["inputs.json"]


@pytest.mark.parametrize(("content", "reason"), [("{", "not JSON: line 1"), ("[]", r"\[\], expected an object")])
def test_meta_file_of_the_prompts_that_cannot_be_read(
    evaluate, write_prompts, without_model, tmp_path, content, reason
):
    """It is copied into our meta file after scoring, but read before."""
    inputs = write_prompts("direct")
    inputs.with_suffix(".meta.json").write_text(content)
    with without_model(), pytest.raises(InputError, match=rf"inputs_direct_news.meta.json: {reason}"):
        evaluate("direct", tmp_path / "outputs.json", data_path=inputs)
