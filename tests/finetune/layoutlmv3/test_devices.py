"""LayoutLMv3 on several devices."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("lightning", reason="needs requirements-finetune.txt")


from evaluate.reading import read_checked
from evaluate.result import Result
from finetune.layoutlmv3.fine_tuning import LayoutLMv3Config, finetune_layoutlmv3
from preprocess.errors import InputError
from tests.finetune.layoutlmv3.runs import NAME, content, log_of
from training import lightning as by_pytorch_lightning

TWO = ("--accelerator", "cpu", "--devices", "2", "--strategy", "ddp")


def command(pages: Path, folder: Path, *more: object) -> list[str]:
    fixed = ("--model", "random", "--dataset", "doclaynet", "--learning_rate", "1e-3", "--logging_steps", "2")
    return ["run_finetune_layoutlmv3.py", *map(str, (*fixed, "--dataset_path", pages, "--output_dir", folder, *more))]


def test_two_devices(run_script, pages_with_images, tmp_path):
    """Three validation pages, an unequal number per process. Each block counts once, and one process prints."""
    options = (*TWO, "--steps", 4, "--eval_steps", 2, "--validation_fraction", 0.25, "--overwrite")
    done = run_script(*command(pages_with_images, tmp_path / "run", *options))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("best checkpoint: step") == done.stdout.count("written to") == 1
    config = LayoutLMv3Config(output_dir=str(tmp_path / "run"))
    metrics, rows = content(config, "metrics.json"), log_of(config)
    assert metrics["data"]["validation"]["blocks_read"] == 24
    assert [row["step"] for row in rows] == ["2", "4"]
    (best,) = [row for row in rows if int(row["step"]) == metrics["best_step"]]
    for name in ("accuracy", "macro_f1", "weighted_f1"):  # found by two there, by one here
        assert float(best[f"eval_{name}"]) == pytest.approx(metrics["validation"][name])
    assert Result(read_checked(tmp_path / "run" / NAME)).accuracy == metrics["test"]["accuracy"]
    assert len(list((tmp_path / "run/tensorboard").glob("events.*"))) == 1


def test_wrong_input_with_two_devices(write_pages, quick_layout, monkeypatch):
    """It is reported before the second process starts."""
    folder = write_pages(train=3, test=1, images=True)
    (folder / "train/001.png").write_bytes(b"no image")
    monkeypatch.setattr(by_pytorch_lightning, "make_trainer", None)
    config = quick_layout(page_options={"dataset_path": str(folder)}, lightning={"devices": "2", "strategy": "ddp"})
    with pytest.raises(InputError, match=r"train/001\.png: unknown format$"):
        finetune_layoutlmv3(config)
    assert list(Path(config.output_dir).iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [True, False])
def test_ctrl_c_with_two_devices(root, run_script, pages_with_images, tmp_path, to_all):
    """A terminal interrupts all processes, `kill` only one; no process remains, one prints, and the run resumes."""
    options = (*TWO, "--steps", 30, "--eval_steps", 2)
    arguments = [sys.executable, *command(pages_with_images, tmp_path / "run", *options)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, cwd=root, env=environment, start_new_session=True, **pipes) as running:
        try:
            last = tmp_path / "run/checkpoints/last.ckpt"
            until = time.monotonic() + 120
            while not last.exists():
                assert running.poll() is None, running.communicate()
                assert time.monotonic() < until
                time.sleep(0.1)
            (os.killpg if to_all else os.kill)(running.pid, signal.SIGINT)
            out, err = running.communicate(timeout=60)
            assert running.returncode == 130
            assert err == f"{last}: saved; the same command resumes from it\ninterrupted\n"
            assert out == ""
            until = time.monotonic() + 10
            with pytest.raises(ProcessLookupError):
                while time.monotonic() < until:
                    os.killpg(running.pid, 0)
                    time.sleep(0.1)
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
    done = run_script(*command(pages_with_images, tmp_path / "run", *options))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{last}: resuming from this checkpoint\n")
    run_script(*command(pages_with_images, tmp_path / "whole", *options))
    assert (tmp_path / "run" / NAME).read_bytes() == (tmp_path / "whole" / NAME).read_bytes()
