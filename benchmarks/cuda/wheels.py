"""The packages that the prepared folder takes to a machine without internet."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from preprocess.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
BUILT = ("fairscale", "fire", "termcolor")  # of Python alone: a wheel is built from what the index has
PACKAGES = ("bitsandbytes", "sentencepiece", "numpy", "tqdm", "tokenizers", "safetensors", "pyyaml")
OF_TESTS = ("pytest", "iniconfig", "pluggy", "packaging", "pygments")
UNUSED = re.compile(r"libbitsandbytes_(?!cpu|cuda126|cuda128|cuda13)")  # kernels for old CUDA and for other devices
GLIBC = (17, 24, 27, 28, 31, 34)  # manylinux_2_N wheels that are taken; pip matches each exactly


def pins() -> dict[str, str]:
    """Package -> the requirement with its version, of the requirements files; without one where they name none."""
    files = [ROOT / f"requirements{name}.txt" for name in ("", "-dev", "-int8")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return {line.partition("==")[0]: line for line in lines if "==" in line}


def collect(python: str, machine: str, folder: Path) -> None:
    """Download the wheels for a machine with this version of Python and this processor, from wherever pip is set up to
    look.

    Raises:
        InputError: pip failed.
    """
    pinned = pins()
    platforms = [f"--platform=manylinux_2_{number}_{machine}" for number in GLIBC]
    platforms.append(f"--platform=manylinux2014_{machine}")
    kind = ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp", *platforms]
    commands = {
        ("wheel", "-w"): [pinned.get(name, name) for name in BUILT],
        ("download", *kind, "-d"): [pinned.get(name, name) for name in (*PACKAGES, *OF_TESTS)],
    }
    for (verb, *flags), packages in commands.items():
        command = [sys.executable, "-m", "pip", verb, "--quiet", "--no-deps", *flags, str(folder), *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr[-300:]]
            raise InputError(f"pip {verb}: {lines[-1]}; --python {python} names the machine's version of Python")
    for wheel in folder.glob("bitsandbytes-*.whl"):
        leave_out(wheel, UNUSED)


def leave_out(wheel: Path, names: re.Pattern[str]) -> None:
    """Rewrite a wheel without the files whose names contain the pattern."""
    smaller = wheel.with_suffix(".part")
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(smaller, "w", zipfile.ZIP_DEFLATED) as target:
        for item in source.infolist():
            content = source.read(item)
            if item.filename.endswith(".dist-info/RECORD"):  # a line for each file
                lines = [line for line in content.decode().splitlines(True) if not names.search(line.partition(",")[0])]
                content = "".join(lines).encode()
            if not names.search(item.filename):
                target.writestr(item, content, zipfile.ZIP_DEFLATED)
    smaller.replace(wheel)
