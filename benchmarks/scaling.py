"""Measures only the product while one variable grows: examples, labels or k.

python benchmarks/scaling.py --by labels --params 134M --examples 256
"""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import json
from dataclasses import dataclass, field, replace

from measure import measure
from workload import Setting

from preprocess.errors import InputError

DEFAULTS = {"examples": (16, 64, 256, 1024), "labels": (2, 4, 8, 16, 32, 64), "k": (0, 1, 2, 4, 8, 16)}
HEADINGS = ("tokens", "distinct", "seconds", "slowest", "examples/s", "of limit", "attention", "peak MiB", "before MiB")


@dataclass(frozen=True)
class ScalingConfig:
    """Measure only the product while one variable grows.

    Args:
        by: Variable: examples, labels or k.
        values: Comma-separated values; default 16 to 1024 examples, 2 to 64 labels, 0 to 16 demonstrations of each
            class.
        setting: The other variables; the flag of the variable itself has no effect.
    """

    by: str = "labels"
    values: str = ""
    setting: Setting = field(default_factory=Setting)

    def __post_init__(self) -> None:
        if self.by not in DEFAULTS:
            raise InputError(f"--by {self.by}: expected {', '.join(DEFAULTS)}")
        if not all(part.isdecimal() for part in self.values.split(",") if self.values):
            raise InputError(f"--values {self.values}: expected comma-separated whole numbers")
        self.settings()

    def settings(self) -> list[Setting]:
        """The setting of each measurement."""
        values = map(int, self.values.split(",")) if self.values else DEFAULTS[self.by]
        return [replace(self.setting, **{self.by: value}) for value in values]


def scale(config: ScalingConfig) -> None:
    """Print a row for each value, and all results as one line of JSON."""
    results = []
    print(f"{config.by:>8}" + "".join(f"{heading:>12}" for heading in HEADINGS))
    for setting in config.settings():
        result = measure(setting, ["product"])
        row = result["systems"]["product"]
        memory = [row[name] and f"{row[name] / 2**20:,.0f}" for name in ("peak_bytes", "before_bytes")]
        cells = [
            f"{row['tokens']:,}",
            f"{result['distinct_tokens']:,}",
            f"{row['seconds']:.2f}",
            f"{row['slowest_seconds']:.2f}",
            f"{row['examples_per_second']:.2f}",
            f"{result['fraction_of_limit']:.2f}",
            f"{result['fraction_of_limit_with_attention']:.2f}",
            *(text or "-" for text in memory),
        ]
        print(f"{getattr(setting, config.by):>8}" + "".join(f"{cell:>12}" for cell in cells), flush=True)
        results.append(result)
    print(json.dumps(results))


run(ScalingConfig, scale)
