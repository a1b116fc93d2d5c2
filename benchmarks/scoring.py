"""Compares the speed of the product with other systems, on the same weights and prompts.

python benchmarks/scoring.py --method direct --params 134M --examples 256 --peer-python /path/to/peers/bin/python
"""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

from options import run

# isort: split

import json
from dataclasses import dataclass, field
from typing import Any

from measure import measure
from processes import IN_PEER_PYTHON, PEERS
from workload import Setting

from preprocess.errors import InputError
from preprocess.files import PathFlag

SYSTEMS = ("product", "naive", *PEERS)
FAIR = 1.3  # maximum ratio of the naive time to that of transformers; a slower reference would be unfair


@dataclass(frozen=True)
class ScoringConfig:
    """Compare the product with a naive reference, transformers, lm-evaluation-harness and CAPPr.

    Args:
        systems: Comma-separated list of product, naive, transformers, lm_eval and cappr; default all that are installed
            and support the method.
        peer_python: Python interpreter with lm-evaluation-harness and CAPPr.
        sample: Run the other systems on the first N examples only; 0 runs them on all.
        setting: The measured setting.
    """

    systems: str = ""
    peer_python: PathFlag = ""
    sample: int = 0
    setting: Setting = field(default_factory=Setting)

    def __post_init__(self) -> None:
        for system in self.chosen():
            if system not in SYSTEMS:
                raise InputError(f"--systems {system}: expected {', '.join(SYSTEMS)}")
            if system in IN_PEER_PYTHON and self.setting.method == "generate":
                raise InputError(f"--systems {system}: does not generate")
            if system in IN_PEER_PYTHON and not self.peer_python:
                raise InputError(f"--systems {system}: expected an interpreter that has it in --peer-python")
        if "product" not in self.chosen():
            raise InputError(f"--systems {self.systems}: expected product, with which the others are compared")
        if self.peer_python and not Path(self.peer_python).is_file():
            raise InputError(f"--peer-python {self.peer_python}: no such file")
        if self.sample < 0:
            raise InputError(f"--sample {self.sample}: expected 0 or more")

    def chosen(self) -> list[str]:
        """The systems to measure."""
        if self.systems:
            return self.systems.split(",")
        peers = IN_PEER_PYTHON if self.peer_python and self.setting.method != "generate" else ()
        return ["product", "naive", "transformers", *peers]


def benchmark(config: ScoringConfig) -> None:
    """Measure, and print a table and all results as one line of JSON."""
    result = measure(config.setting, config.chosen(), config.peer_python, config.sample)
    systems = result["systems"]
    if "naive" in systems and "transformers" in systems:
        times = systems["transformers"]["examples_per_second"] / systems["naive"]["examples_per_second"]
        result |= {"naive_over_transformers": times, "naive_is_fair": times <= FAIR}
    print(table(result))
    print(json.dumps(result))


def table(result: dict[str, Any]) -> str:
    """The table, with notes."""
    lines = [
        "{method}, {params} in {dtype}, {label_words} label words, k = {k}, best of {repeats}; {date}".format(**result),
        "{machine}, {threads} threads, torch {torch}, commit {commit}".format(**result),
        "{distinct_tokens:,} distinct tokens, {scored_positions:,} scored positions".format(**result),
        f"matrices {result['rate'] / 1e9:,.0f} GFLOP/s at best ({result['rate_rows']} rows; slowest turn"
        f" {result['slowest_rate'] / 1e9:,.0f}): at least {result['limit_seconds']:.2f} s,"
        f" with attention {result['limit_with_attention_seconds']:.2f} s",
        "",
        f"{'':13}{'examples':>9}{'tokens':>12}{'seconds':>10}{'slowest':>10}{'examples/s':>12}{'x product':>11}"
        f"{'peak MiB':>10}{'difference':>12}",
    ]
    for system, row in result["systems"].items():
        difference = f"{row['difference']:.1e}" if "difference" in row else "-"
        peak = "-" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:,.0f}"
        lines.append(
            f"{system:13}{row['examples']:>9,}{row['tokens']:>12,}{row['seconds']:>10.2f}{row['slowest_seconds']:>10.2f}"
            f"{row['examples_per_second']:>12.2f}{row['ratio']:>11.2f}{peak:>10}{difference:>12}"
        )
    lines.append("")
    for system, row in result["systems"].items():
        other = row.get("rows_with_other_tokens")
        notes = [row["note"], f"{other} rows with other tokens than naive" if other else ""]
        if any(notes):
            lines.append(f"{system}: {', '.join(filter(None, notes))}")
    lines.append(
        f"product: {result['fraction_of_limit']:.2f} of the limit,"
        f" {result['fraction_of_limit_with_attention']:.2f} of the limit with attention"
    )
    if "naive_is_fair" in result:
        verdict = "fair" if result["naive_is_fair"] else "unfair"
        lines.append(f"naive takes {result['naive_over_transformers']:.2f} x the time of transformers: {verdict}")
    return "\n".join(lines)


run(ScoringConfig, benchmark)
