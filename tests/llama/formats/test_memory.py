"""The memory of loading: no second copy of the weights, for any stored and loaded dtype."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

PEAK = """
import re, sys
import torch
from llama import open_checkpoint
from llama.llama import load_model
from llama.parallel import start

def memory(name):
    return int(re.search(rf"{name}:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

load_model(open_checkpoint(sys.argv[2]), start(), getattr(torch, sys.argv[3]))  # what is loaded once: code, threads
checkpoint = open_checkpoint(sys.argv[1])
open("/proc/self/clear_refs", "w").write("5")  # resets the peak
before = memory("VmRSS")
model = load_model(checkpoint, start(), getattr(torch, sys.argv[3]))
held = sum({weight.data_ptr(): weight.nbytes for weight in model.state_dict().values()}.values())
print(memory("VmHWM") - before, held)
"""


@pytest.fixture
def peak(root: Path, make_checkpoint: Callable[..., Path], tmp_path: Path) -> Callable[[Path, str], tuple[int, int]]:
    """A function: (folder, dtype) -> the peak memory of loading it, including mapped files, and the size of the loaded
    model, in bytes."""
    small = make_checkpoint(tmp_path / "small")

    def measure(folder: Path, dtype: str) -> tuple[int, int]:
        command = [sys.executable, "-c", PEAK, str(folder), str(small), dtype]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        most, held = map(int, done.stdout.split())
        return most, held

    return measure


@pytest.fixture
def make_large(save_model, make_checkpoint, tmp_path) -> Callable[..., Path]:
    """A function: (form, dtype, layers) -> a folder of random weights, 15 MB per layer in 16 bits."""

    def make(form: str, dtype: torch.dtype, layers: int) -> Path:
        folder = tmp_path / "large"
        if form == "meta":
            make_checkpoint(folder, shards=2, dim=512, n_layers=layers, n_heads=8, multiple_of=4096)
            for path in folder.glob("*.pth"):
                torch.save({key: weight.to(dtype) for key, weight in torch.load(path).items()}, path)
            return folder
        shape = {"hidden_size": 512, "num_hidden_layers": layers, "intermediate_size": 4096, "num_attention_heads": 8}
        model = save_model(folder, dtype=dtype, max_shard_size="200MB", **shape | {"num_key_value_heads": 8})
        if form == "bin":
            for path in folder.glob("model*"):
                path.unlink()
            torch.save(model.state_dict(), folder / "pytorch_model.bin")
        return folder

    return make


KINDS = [
    ("meta", torch.float16, "bfloat16"),
    ("safetensors", torch.float16, "bfloat16"),
    ("safetensors", torch.float32, "float32"),
    ("bin", torch.bfloat16, "bfloat16"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="measured by /proc")
@pytest.mark.parametrize(("form", "stored", "dtype"), KINDS)
def test_no_second_copy(form, stored, dtype, make_large, peak) -> None:
    """Beside the loaded weights, memory holds the largest matrix and a 64th of the files."""
    most, held = peak(make_large(form, stored, layers=8), dtype)
    assert most < 1.1 * held


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measured by /proc")
@pytest.mark.parametrize("form", ["meta", "safetensors"])
def test_quantized_matrix_by_matrix(form, make_large, peak) -> None:
    """Beside the weights in 8 bits, memory holds one matrix in 16."""
    pytest.importorskip("bitsandbytes")
    folder = make_large(form, torch.float16, layers=40)

    def fits() -> bool:
        most, held = peak(folder, "int8")
        return most < 1.1 * held + 2 * 4096 * 512

    assert any(fits() for _ in range(3))  # what the allocator wastes varies


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measured by /proc")
@pytest.mark.parametrize("form", ["meta", "safetensors"])
def test_a_folder_of_a_gigabyte(form, make_large, peak) -> None:
    most, held = peak(make_large(form, torch.float16, layers=68), "bfloat16")
    assert most < 1.1 * held
