"""GGUF -> Hugging Face folder: the converted model computes the same as the original."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from convert import gguf as conversion
from convert.gguf import GgufConfig, convert
from llama import load
from preprocess.errors import InputError

Make = Callable[..., Any]
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def logits(model: PreTrainedModel) -> torch.Tensor:
    tokens = torch.randint(0, model.config.vocab_size, (2, 60), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(tokens).logits


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
        ("llama", {"head_dim": 16, "rms_norm_eps": 1e-3}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0}}),
        ("qwen2", {"tie_word_embeddings": True, "num_key_value_heads": 1}),
        ("qwen3", {"head_dim": 24}),
    ],
    ids=["llama", "tied", "head_dim", "linear", "qwen2", "qwen3"],
)
def test_logits_are_those_of_the_model(
    kind: str, options: dict[str, Any], make_model: Make, write_gguf: Make, tmp_path: Path
) -> None:
    model = make_model(kind, **options)
    rope = model.config.rope_parameters
    keys = {f"{kind}.rope.scaling.type": "linear", f"{kind}.rope.scaling.factor": rope.get("factor")}
    path = write_gguf(tmp_path / "model.gguf", model, kind, keys=keys if "factor" in rope else None)
    convert(GgufConfig(str(path), str(tmp_path / "made")))
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "made")
    assert type(made) is type(model)
    assert torch.allclose(logits(made), logits(model), atol=1e-5)
    assert made.generation_config.eos_token_id == [0, 1]
    assert made.config.tie_word_embeddings == model.config.tie_word_embeddings


def llama3_divisors(factor: float) -> torch.Tensor:
    """The content of rope_freqs.weight by llama.cpp's converter: plain frequencies divided by scaled ones."""
    config = AutoConfig.for_model("llama", head_dim=64, rope_parameters=LLAMA3 | {"factor": factor})
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    return 10000.0 ** -(torch.arange(0, 64, 2) / 64) / scaled


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_scaling_of_llama_3_1_is_recovered(factor: float, make_model: Make, write_gguf: Make, tmp_path: Path) -> None:
    model = make_model(head_dim=64, rope_parameters=LLAMA3 | {"factor": factor})
    tensors = {"rope_freqs.weight": llama3_divisors(factor)}
    path = write_gguf(tmp_path / "model.gguf", model, tensors=tensors)
    convert(GgufConfig(str(path), str(tmp_path / "made")))
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "made")
    assert made.config.rope_parameters["factor"] == pytest.approx(factor)
    assert torch.allclose(logits(made), logits(model), atol=1e-5)


def test_an_existing_conversion_is_reported_and_not_repeated(
    make_model: Make, write_gguf: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model())
    config = GgufConfig(str(path), str(tmp_path / "made"), dtype="float16")
    convert(config)
    said = capsys.readouterr().out
    assert "LlamaForCausalLM, 2 layers, dim 32, 4 heads, vocabulary" in said
    assert "in float16" in said
    record = json.loads((tmp_path / "made/conversion.json").read_text())
    assert record["dtype"] == "float16"
    before = (tmp_path / "made/model.safetensors").stat()
    assert before.st_mode & 0o777 == (tmp_path / "made/config.json").stat().st_mode & 0o777
    convert(config)
    assert "already converted" in capsys.readouterr().out
    assert (tmp_path / "made/model.safetensors").stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(InputError, match="exists with other content"):
        convert(GgufConfig(str(path), str(tmp_path / "made")))


def test_a_failed_conversion_leaves_no_folder(
    make_model: Make, write_gguf: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "open_checkpoint", full)
    with pytest.raises(OSError, match="No space left"):
        convert(GgufConfig(str(path), str(tmp_path / "made")))
    assert [file.name for file in tmp_path.iterdir()] == ["model.gguf"]


def test_a_folder_that_cannot_be_opened_is_removed(
    make_model: Make, write_gguf: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is opened like --ckpt_dir; here its tokenizer is missing."""
    path = write_gguf(tmp_path / "model.gguf", make_model())
    monkeypatch.setattr(conversion, "read_tokenizer", lambda *_: GenerationConfig())
    with pytest.raises(InputError, match=r"cannot be converted: .*tokenizer"):
        convert(GgufConfig(str(path), str(tmp_path / "made")))
    assert [file.name for file in tmp_path.iterdir()] == ["model.gguf"]


@pytest.mark.slow
def test_killed_before_any_change_of_a_file(make_model: Make, write_gguf: Make, root: Path, tmp_path: Path) -> None:
    """The same command then succeeds, with the same output folder and no leftovers."""
    (tmp_path / "template").mkdir()
    write_gguf(tmp_path / "template/model.gguf", make_model())
    flags = ["run_convert_gguf.py", "--gguf", "model.gguf", "--output_dir", "converted"]
    command = [sys.executable, root / "tests/kills.py", tmp_path / "template", "1", *flags]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "moments" in done.stdout


def test_the_engine_computes_the_same(make_model: Make, write_gguf: Make, tmp_path: Path) -> None:
    model = make_model()
    path = write_gguf(tmp_path / "model.gguf", model)
    convert(GgufConfig(str(path), str(tmp_path / "made")))
    prompt, completion = "The capital of France is", "Paris"
    engine = load(str(tmp_path / "made"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "made")
    tokens = torch.tensor([tokenizer(f"{prompt} {completion}").input_ids])
    start = len(tokenizer(prompt).input_ids)
    with torch.no_grad():
        steps = model(tokens).logits[0].log_softmax(-1)
    expected = steps[:-1].gather(1, tokens[0, 1:, None])[start - 1 :].sum()
    (found,) = engine.compute_log_probs([prompt], [completion], score_eos=False)
    assert found == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": {"general.architecture": "gemma3"}}, "is a gemma3, expected one of llama, qwen2, qwen3"),
        ({"keys": {"llama.attention.sliding_window": 16}}, "llama.attention.sliding_window = 16 is not supported"),
        ({"keys": {"llama.expert_count": 8}}, "llama.expert_count = 8 is not supported"),
        ({"keys": {"llama.rope.scaling.type": "yarn"}}, "llama.rope.scaling.type yarn is not supported"),
        ({"keys": {"llama.rope.dimension_count": 4}}, "llama.rope.dimension_count is 4, expected the 8 of a head"),
        ({"keys": {"llama.block_count": None}}, "its metadata lack llama.block_count"),
        ({"keys": {"llama.attention.head_count_kv": [2, 1]}}, "num_key_value_heads differs from layer to layer"),
        ({"keys": {"split.count": 3, "split.no": 1}}, "part 2 of 3: join them with llama-gguf-split"),
        ({"drop": ("blk.1.ffn_up.weight",)}, "tensor blk.1.ffn_up.weight is missing"),
        ({"tensors": {"blk.0.attn_q.bias": torch.zeros(32)}}, "tensor blk.0.attn_q.bias is in no llama"),
        ({"tensors": {"rope_freqs.weight": torch.tensor([1.0, 2, 3, 4])}}, "is not the scaling of Llama 3.1"),
        ({"tensors": {"output_norm.weight": torch.zeros(31)}}, "cannot be converted"),
        ({"keys": {"tokenizer.ggml.model": "t5"}}, "tokenizer.ggml.model t5 is not supported"),
        ({"keys": {"tokenizer.ggml.pre": "deepseek-llm"}}, "'deepseek-llm' is not supported"),
        ({"keys": {"tokenizer.ggml.pre": None}}, "'default' is not supported"),
    ],
)
def test_unsupported_models_are_refused(
    change: dict[str, Any], message: str, make_model: Make, write_gguf: Make, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model(), **change)
    with pytest.raises(InputError) as raised:
        convert(GgufConfig(str(path), str(tmp_path / "made")))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)
    assert [file.name for file in tmp_path.iterdir()] == ["model.gguf"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "not GGUF"),
        (b"PK\x03\x04 and more", "not GGUF: begins with b'PK"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
        (b"GGUF\x03\x00", "damaged or truncated"),
    ],
)
def test_other_files_are_refused(content: bytes | None, message: str, tmp_path: Path, run_script: Make) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    done = run_script("run_convert_gguf.py", "--gguf", path, "--output_dir", tmp_path / "made")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_truncated_file(make_model: Make, write_gguf: Make, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "whole.gguf", make_model())
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size - 5000])
    with pytest.raises(InputError, match="damaged or truncated"):
        convert(GgufConfig(str(cut), str(tmp_path / "made")))


def test_flags() -> None:
    with pytest.raises(InputError, match="--gguf: required"):
        convert(GgufConfig(output_dir="x"))
    with pytest.raises(InputError, match="--output_dir: required"):
        convert(GgufConfig("x"))
    with pytest.raises(InputError, match="--dtype int8: expected float32, bfloat16, float16"):
        GgufConfig("x", "y", "int8")


def test_other_files_of_the_folder_are_not_read(make_model: Make, write_gguf: Make, tmp_path: Path) -> None:
    """A folder of the hub often contains a tokenizer and a configuration of another model beside the file."""
    path = write_gguf(tmp_path / "model.gguf", make_model())
    convert(GgufConfig(str(path), str(tmp_path / "alone")))
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        (tmp_path / name).write_text('{"model_type": "gemma3", "tokenizer_class": "T5Tokenizer"}')
    shutil.copy(tmp_path / "alone/tokenizer.json", tmp_path / "tokenizer.json")
    convert(GgufConfig(str(path), str(tmp_path / "made")))
    for file in (tmp_path / "alone").iterdir():
        assert (tmp_path / "made" / file.name).read_bytes() == file.read_bytes()
