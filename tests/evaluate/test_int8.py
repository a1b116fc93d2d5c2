"""Results in 8 bits: what they state, and that they are no other's."""

import importlib.metadata
import sys

import pytest

from llama import CheckpointError
from preprocess.errors import InputError


@pytest.fixture
def package() -> None:
    pytest.importorskip("bitsandbytes")


def test_a_result_states_its_dtype(run, package) -> None:
    """Every method; a calibration takes it from what it corrects."""
    for method in ("direct", "channel", "generate"):
        rows, meta = run(method, f"{method}.json", dtype="int8")
        assert (meta["dtype"], meta["settings"]["dtype"]) == ("int8", "int8")
        assert meta["versions"]["bitsandbytes"] == importlib.metadata.version("bitsandbytes")
        assert len(rows) == 15
    _, meta = run("direct_calibrate", "calibrated.json")  # of direct.json
    assert meta["dtype"] == "int8"


def test_another_dtype_is_another_result(run, package, monkeypatch) -> None:
    """A finished one, and one that was begun."""
    run("direct", dtype="int8")
    with pytest.raises(InputError, match=r"exists with settings {'dtype': 'int8'}, now {'dtype': 'bfloat16'}; --over"):
        run("direct", dtype="bfloat16")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("evaluate.run.Run.write", interrupt)
        run("direct", "begun.json", dtype="int8")
    with pytest.raises(InputError, match=r"started with settings {'dtype': 'int8'}, now {'dtype': 'bfloat16'}; --over"):
        run("direct", "begun.json", dtype="bfloat16")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_batches_change_nothing_but_rounding(run, package) -> None:
    alone, _ = run("direct", "alone.json", dtype="int8", max_batch_size=1)
    together, _ = run("direct", "together.json", dtype="int8")
    for one, row in zip(alone, together, strict=True):
        for ours, theirs, tokens in zip(one["log_probs"], row["log_probs"], row["num_tokens"], strict=True):
            assert abs(ours - theirs) < 0.2 * (tokens + 1)  # nats a token: both are rounded to bfloat16


@pytest.mark.parametrize("method", ["direct", "generate"])
def test_without_the_package_nothing_is_loaded(method, run, without_model, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with without_model(), pytest.raises(CheckpointError) as refused:
        run(method, dtype="int8")
    line = "--dtype int8 needs the package bitsandbytes, which is not installed: pip install -r requirements-int8.txt"
    assert refused.value.for_command_line().startswith(line)
    assert not (tmp_path / "outputs.json").exists()
