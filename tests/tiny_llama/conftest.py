"""Shared by the tests of the tiny checkpoint: a DocBank folder."""

from pathlib import Path

import pytest


@pytest.fixture
def docbank(tmp_path: Path) -> Path:
    """Two invented pages of twenty words each, in one paragraph."""
    rows = [f"word{n % 7}\t{100 + n}\t{100 + 20 * n}\t140\t{112 + 20 * n}\t0\t0\t0\tfont\tparagraph" for n in range(20)]
    (tmp_path / "docbank").mkdir()
    for page in range(2):
        (tmp_path / f"docbank/page{page}.txt").write_text("\n".join(rows) + "\n")
    return tmp_path / "docbank"
