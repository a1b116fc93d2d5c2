"""benchmarks/int8.py: its flags, what it compares; the whole of it on the tiny checkpoint."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from preprocess.errors import InputError


@pytest.fixture(scope="module")
def benchmark(root: Path) -> dict[str, Any]:
    """What the file defines: benchmarks/ is no package."""
    return runpy.run_path(str(root / "benchmarks/int8.py"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"methods": "direct,pmi"}, "--methods 'pmi': expected a comma-separated list of direct, generate, channel"),
        ({"limit": 0}, "--limit 0: expected 1 or more"),
        ({"few": -1}, "--few -1: expected 0 or more"),
    ],
)
def test_flags(flags: dict[str, Any], message: str, benchmark) -> None:
    with pytest.raises(InputError, match=message):
        benchmark["Int8Config"](**flags)


@pytest.mark.slow
def test_on_the_tiny_checkpoint(benchmark, root: Path, data: Path, tmp_path: Path) -> None:
    """Weights of the blocks take half of what they take in bfloat16; float32 does not depend on batches."""
    pytest.importorskip("bitsandbytes")
    folders = {"ckpt_dir": str(root / "checkpoints/tiny"), "news_path": str(data / "ag_news")}
    config = benchmark["Int8Config"](**folders, output_dir=str(tmp_path), methods="direct,generate", limit=6, few=4)
    benchmark["measure"](config)
    tables = (tmp_path / "tables.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables.splitlines() if line]
    of_variant = {name: [row for row in rows if row[0] == name] for name in ("float32", "bfloat16", "int8")}
    direct, generate, _, batches, costs = of_variant["float32"]
    assert direct[3:6] == ["100.0%", "0.0000", "0.0000"] and generate[3:6] == ["100.0%", "-", "-"]
    assert batches[1:] == ["0.0000", "0.0000"]
    half, eighth = (float(of_variant[name][4][1]) for name in ("bfloat16", "int8"))
    assert 0.5 < eighth / half < 0.53
    assert float(costs[1]) == pytest.approx(2 * half, rel=0.02)
    assert all(float(of_variant["int8"][0][place]) > 0 for place in (4, 5, 7, 8))
    assert len(re.findall("^## ", tables, re.MULTILINE)) == 5
