"""Names of models; no code in a model's folder is run."""

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="needs requirements-finetune.txt")
pytest.importorskip("PIL", reason="needs requirements-finetune.txt")

from documents.layoutlmv3 import load_image_processor
from documents.pretrained import model_name
from finetune.layoutlmv3.model import load_classifier
from finetune.llama.model import load_base
from preprocess.errors import InputError

CODE = """
from pathlib import Path
Path({touched!r}).touch()
from transformers import PretrainedConfig
class Made(PretrainedConfig):
    model_type = "made"
"""


@pytest.mark.parametrize("kind", ["made", "llama", "layoutlmv3"])
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
@pytest.mark.parametrize(
    "load",
    [
        load_classifier,
        load_image_processor,
        lambda model: load_base(model, ("a", "b"), torch.float32, [], Path(model)),
    ],
)
def test_code_of_a_model_is_refused(tmp_path: Path, kind: str, file: str, load: Callable[[str], Any], monkeypatch):
    """It is refused without asking on the terminal, where "y" would accept it."""
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("asked"))
    folder, touched = tmp_path / "model", tmp_path / "touched"
    folder.mkdir()
    (folder / "made.py").write_text(CODE.format(touched=str(touched)))
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    names = dict.fromkeys(("AutoConfig", "AutoTokenizer", "AutoImageProcessor", "AutoModel"), "made.Made")
    (folder / file).write_text(json.dumps({"model_type": kind, "auto_map": names}))
    with pytest.raises(InputError, match=rf"^--model .*model: {file} names Python code \(auto_map\), which is "):
        load(str(folder))
    assert not touched.exists()


def test_names(tmp_path: Path) -> None:
    """A model in a run folder has the name of the run; the folders in all run folders have the same names."""
    (tmp_path / "forms/model").mkdir(parents=True)
    assert model_name(str(tmp_path / "forms/model")) == "model"
    (tmp_path / "forms/configuration.json").write_text("{}")
    assert model_name(str(tmp_path / "forms/model")) == "forms"
    assert model_name("microsoft/layoutlmv3-base") == "layoutlmv3-base"
