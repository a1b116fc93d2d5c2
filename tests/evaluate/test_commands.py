"""The commands run as by a user: exit status, streams, several processes. Their results are tested in process."""

import json
import os
import signal
import subprocess
import sys

import pytest

FORK_EACH = """
import json, os, runpy, sys
import evaluate.run, evaluate.scoring, evaluate.generation, evaluate.calibration  # the slow part, once for all

for number, (script, *arguments) in enumerate(json.loads(sys.argv[1])):
    if os.fork() == 0:
        for stream in (1, 2):
            os.dup2(os.open(f"{number}.{stream}", os.O_CREAT | os.O_WRONLY), stream)
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)  # a fork would inherit it, and say it too
"""


@pytest.fixture
def run_each(root, tmp_path):
    """A function that runs commands one after the other, each in a fork of a process that has imported torch.

    [(script, *arguments)] -> [(exit status, stdout, stderr)]
    """

    def run(commands):
        folder = tmp_path / "streams"
        folder.mkdir()
        listed = json.dumps([[str(root / script), *map(str, arguments)] for script, *arguments in commands])
        environment = os.environ | {"PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", FORK_EACH, listed], cwd=folder, env=environment, capture_output=True, check=True
        )
        streams = [
            [(folder / f"{number}.{stream}").read_text() for stream in (1, 2)] for number in range(len(commands))
        ]
        return [(int(status), *texts) for status, texts in zip(done.stdout.split(), streams, strict=True)]

    return run


def test_wrong_commands_end_with_2_and_one_line(run_each, write_prompts, checkpoint, tmp_path):
    """No other output, and no file is written, not even in part."""
    direct, generate = "run_evaluate_direct_llama.py", "run_evaluate_generate_llama.py"
    calibrate = "run_evaluate_direct_calibrate_llama.py"
    inputs, broken = write_prompts("direct"), tmp_path / "broken.json"
    broken.write_text('[{"prompt":')
    given = ["--data_path", inputs, "--ckpt_dir", checkpoint, "--output_path", tmp_path / "outputs.json"]
    cases = {
        (direct, *given, "--bach_size", "3"): "error: --bach_size: unknown flag",
        (direct, *given, "--max_batch_size", "many"): "error: --max_batch_size many: expected a whole number",
        (generate, *given, "--temperature=warm"): "error: --temperature warm: expected a number",
        (direct, *given, "--data_path", "absent.json"): "error: absent.json: no such file (--data_path)",
        (direct, *given, "--data_path", broken): f"error: {broken}: not JSON: line 1 column 12: Expecting value",
        (direct, *given, "--ckpt_dir", "absent"): "error: --ckpt_dir absent: no such folder; looked at absent, ",
        (
            direct,
            *given,
            "--output_path",
            f"{inputs}/o.json",
        ): f"error: {inputs}/o.json: cannot be written: Not a direct",
        (direct, *given, "--model_parallel_size", "2"): "error: --model_parallel_size 2: expected a divisor of",
        (calibrate, *given[2:], "--direct_input_path", inputs, "--direct_output_path", "absent.json"): (
            "error: absent.json: no such file (--direct_output_path)"
        ),
        ("run_results_table.py", "absent"): "error: absent: no such file or folder",
    }
    for (status, out, err), (command, message) in zip(run_each(list(cases)), cases.items(), strict=True):
        assert (status, out) == (2, ""), command
        assert err.startswith(message), command
        assert (err.count("\n"), err[-1]) == (1, "\n"), command
    assert {path.name for path in tmp_path.iterdir()} == {inputs.name, "broken.json", "streams"}


@pytest.mark.parametrize("method", ["direct", "generate"])
def test_two_processes(run_script, evaluate, write_prompts, checkpoint, tmp_path, method, monkeypatch):
    """The same rows as with one process; every line and the progress bar are printed once, by rank 0."""
    monkeypatch.setenv("TQDM_MININTERVAL", "1000")  # seconds; a slow bar would be drawn at its end and when it closes
    inputs = write_prompts("direct")
    expected, _ = evaluate(method, tmp_path / "one.json", data_path=inputs)
    flags = {"data_path": inputs, "output_path": tmp_path / "two.json", "ckpt_dir": checkpoint}
    script = f"run_evaluate_{method}_llama.py"
    done = run_script(script, *(f"--{name}={value}" for name, value in flags.items()), processes=2)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["accuracy", "warning:", "written"]
    assert done.stderr.count(f"{method}: 100%") == 1  # the bar of rank 0 alone
    rows = json.loads((tmp_path / "two.json").read_text())
    for one, two in zip(expected, rows, strict=True):
        for numbers in ("log_probs", "eos_log_probs"):
            assert two.pop(numbers, []) == pytest.approx(one.pop(numbers, []), abs=4e-5, rel=0)
        assert two == one
    assert json.loads((tmp_path / "two.meta.json").read_text())["world_size"] == 2


def test_input_error_under_torchrun(run_script, write_prompts, checkpoint, tmp_path):
    """Our line is printed once and first; torchrun adds its own output."""
    inputs = write_prompts("direct")
    inputs.write_text(inputs.read_text().replace('"ground_truth"', '"truth"', 1))
    flags = ["--data_path", inputs, "--output_path", tmp_path / "new/outputs.json", "--ckpt_dir", checkpoint]
    done = run_script("run_evaluate_direct_llama.py", *flags, processes=2)
    line = f"error: {inputs}: row 0: field 'ground_truth' is missing"
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == line
    assert (done.stdout + done.stderr).count("ground_truth") == 1
    assert [path.name for path in tmp_path.iterdir()] == [inputs.name]


def test_interrupted(root, write_prompts, make_rows, checkpoint, tmp_path):
    """Ctrl-C while scoring: exit status 130, two lines after the bar, no output; the same command resumes."""
    inputs = write_prompts("direct", make_rows("direct", {str(n): f"rain {n}" for n in range(2000)}))
    flags = ["--data_path", inputs, "--output_path", tmp_path / "outputs.json", "--ckpt_dir", checkpoint]
    command = [sys.executable, "run_evaluate_direct_llama.py", *map(str, flags), "--max_batch_size", "1"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        seen = b""
        while b"accuracy" not in seen:
            seen += process.stderr.read1() or pytest.fail(f"ended early: {seen!r}")
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    *bar, kept, last = (seen + rest).decode().splitlines()
    assert last == "interrupted"
    assert kept == f"{tmp_path / 'outputs.partial'}: partial results are kept; the same command resumes from there"
    assert all(line.startswith(("direct: ", "warning: the mean ")) for line in bar if line.strip())
    assert {path.name for path in tmp_path.iterdir()} == {inputs.name, "outputs.partial"}
