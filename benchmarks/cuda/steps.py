"""Runs steps within a budget of time and writes their results after each, so that a kill leaves what was measured."""

import json
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess.files import write_bytes

LONGEST = 4000  # characters of an error


@dataclass(frozen=True)
class Step:
    """One measurement.

    Args:
        name: Its name in the results.
        limit: The most seconds that it is given.
        needs: Seconds without which it is not begun.
        measure: Measures within so many seconds, and returns what was found, for JSON.
    """

    name: str
    limit: float
    needs: float
    measure: Callable[[float], dict[str, Any]]


class Results:
    """Results that are in two files at any time, a JSON file and a page made of it.

    Args:
        folder: Where results.json and results.md are written.
        facts: What holds for all steps.
        page: Makes the page of the results.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], page: Callable[[dict[str, Any]], str]):
        self.folder = folder
        self.page = page
        self.found: dict[str, Any] = facts | {"steps": {}}

    def keep(self, name: str, state: str, seconds: float, **found: Any) -> None:
        """Keep the result of a step and write both files anew."""
        self.found["steps"][name] = {"state": state, "seconds": round(seconds, 1)} | found
        write_bytes(self.folder / "results.json", json.dumps(self.found, indent=1).encode())
        write_bytes(self.folder / "results.md", self.page(self.found).encode())

    def of(self, name: str) -> dict[str, Any]:
        """What a step has found; empty if it did not end well."""
        step = self.found["steps"].get(name, {})
        return step if step.get("state") == "done" else {}


def run_steps(steps: Sequence[Step], results: Results, deadline: float) -> None:
    """Run the steps in order until `deadline` (time.time()); those that do not fit are kept as skipped."""
    for step in steps:
        results.keep(step.name, "not begun", 0)
    for step in steps:
        begin = time.time()
        left = deadline - begin
        if left < step.needs:
            results.keep(step.name, "skipped", 0, reason=f"{max(left, 0):.0f} s were left, it needs {step.needs:.0f}")
            continue
        results.keep(step.name, "running", 0)
        try:
            found = {"state": "done"} | step.measure(min(step.limit, left))
        except Exception as error:
            traceback.print_exc()
            found = {"state": "failed", "error": f"{type(error).__name__}: {error}"[-LONGEST:]}
        results.keep(step.name, found.pop("state"), time.time() - begin, **found)
        print(f"{step.name}: {results.found['steps'][step.name]['state']}, {time.time() - begin:.1f} s", flush=True)
