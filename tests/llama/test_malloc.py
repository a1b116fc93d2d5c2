"""Freed memory, in a process of its own: what mallopt sets cannot be read back."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, resource
import numpy as np
from llama.malloc import keep_freed_memory, release_freed_memory

PAGES = 4096  # of each of two arrays

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        one, other = np.ones(PAGES * 512), np.ones(PAGES * 512)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

mapped = faults()
keep_freed_memory()
faults()
kept, before = faults(), resident()
release_freed_memory()
print(json.dumps({"mapped": mapped, "kept": kept, "released": before - resident()}))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc"
)
def test_freed_memory_is_kept_and_released(root: Path) -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=True)
    pages = json.loads(found.stdout)
    assert pages["kept"] < pages["mapped"] / 10
    assert pages["released"] > 4096
