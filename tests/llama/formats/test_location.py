"""Folders without a checkpoint, and the message for each."""

from pathlib import Path

import pytest

from llama.formats.appearance import EXPECTED
from llama.formats.location import locate

LOOKS = {
    "nothing": ([], f"the folder is empty; {EXPECTED}"),
    "anything": (["readme.txt"], f"unknown format; {EXPECTED}"),
    "gguf": (
        ["SmolLM2.Q4_1.gguf"],
        "contains a GGUF file (SmolLM2.Q4_1.gguf): convert it with `python run_convert_gguf.py --gguf FILE",
    ),
    "onnx": (
        ["config.json", "onnx/model.onnx"],
        "an ONNX model (onnx/model.onnx): use the folder that it was exported",
    ),
    "mlx": (["config.json", "weights.00.npz"], "MLX weights (weights.00.npz): use the Hugging Face folder"),
    "tensorflow": (
        ["config.json", "tf_model.h5"],
        "TensorFlow weights (tf_model.h5): use a folder with *.safetensors",
    ),
    "flax": (["config.json", "flax_model.msgpack"], "Flax weights (flax_model.msgpack)"),
    "mistral": (["consolidated.safetensors", "tekken.json"], "Mistral's own format (consolidated.safetensors): use"),
    "deepspeed": (
        ["global_step100/mp_rank_00.pt", "zero_to_fp32.py"],
        "a DeepSpeed checkpoint (global_step100): merge",
    ),
    "fsdp": (["__0_0.distcp"], "a sharded FSDP checkpoint (__0_0.distcp): merge it"),
    "a Trainer's folder": (
        ["checkpoint-500/config.json"],
        "a folder of Trainer checkpoints: use one of them, such as",
    ),
    "a folder too high": (
        ["7B/params.json"],
        "not a checkpoint, but it contains 7B/params.json: use that folder",
    ),
    "no configuration": (["model.safetensors"], "weights (model.safetensors) without config.json"),
    "names": (["model.pth"], "weights (model.pth) that are not named consolidated.NN.pth"),
    "unfinished": (["model.safetensors.part"], "an unfinished download (model.safetensors.part)"),
    "no weights": (
        ["config.json"],
        "contains config.json but no weights: neither model.safetensors nor pytorch_model",
    ),
}


@pytest.mark.parametrize(("files", "line"), LOOKS.values(), ids=LOOKS)
def test_messages_describe_the_folder(files, line, refusal, tmp_path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"architectures": ["LlamaForCausalLM"]}')
    if "config.json" in files:
        stated = '{"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 8, "vocab_size": 8,'
        (tmp_path / "config.json").write_text(stated + ' "num_hidden_layers": 1, "num_attention_heads": 1}')
    assert refusal(tmp_path).startswith(f"{tmp_path}: {line}")


def test_a_file_instead_of_a_folder(refusal, tmp_path) -> None:
    path = tmp_path / "model.pth"
    path.touch()
    assert refusal(path) == f"`ckpt_dir` {path}: is a file, expected a folder"
    path = tmp_path / "model.gguf"
    path.touch()
    assert refusal(path).endswith(
        "expected a folder; convert it with `python run_convert_gguf.py --gguf FILE --output_dir DIR`"
    )


def test_a_revision_is_of_the_hub(folder, refusal) -> None:
    assert refusal(folder, revision="main") == f"`revision` main: only for models on the hub, but {folder} is a folder"


def test_names(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("checkpoints/owner/Model-1B").mkdir(parents=True)
    assert locate("owner/Model-1B").folder == Path("checkpoints/owner/Model-1B")
    assert locate("checkpoints/owner/Model-1B/../Model-1B/").name == "Model-1B"
