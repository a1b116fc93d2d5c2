"""The page of the results: figures beside their goals, ratios, kernels, tests, and how each step ended."""

from collections.abc import Iterable, Sequence
from typing import Any

GOALS = {"direct": 30, "channel": 100}  # seconds, 7B's shape in bfloat16, all examples
GOAL_SHAPE, GOAL_SYSTEM, GOAL_RATIO = "7B", "naive", 15  # times the naive reference, direct


def page(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    done = {name: step for name, step in found["steps"].items() if step["state"] == "done"}
    named = [(name.split(" "), step) for name, step in done.items()]
    runs = [(words, step) for words, step in named if len(words) == 3]
    parts = [
        heading(found, done.get("machine", {})),
        product_table([(words, step) for words, step in runs if words[1] == "product"]),
        beside_table([(words, step) for words, step in runs if words[1] not in ("product", "profile")]),
        *(kernel_table(words, step) for words, step in runs if words[1] == "profile"),
        steps_table(found["steps"]),
        tests_part(found["steps"].get("tests", {})),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def heading(found: dict[str, Any], machine: dict[str, Any]) -> str:
    versions = [f"{key} {machine[key]}" for key in ("python", "torch", "cuda") if machine.get(key)]
    commit = f"commit {found['commit']}" + (" with changes" if found["changed"] else "")
    about = ", ".join([machine.get("device", found["device"]), *versions, commit, found["date"]])
    settings = f"Random weights, {found['dtype']}, prompts of AG News, k = 1. {found['seconds']} s were allowed."
    return f"# Measured on {found['device']}\n\n{about}\n\n{settings}"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def rounded(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)


def peak_of(step: dict[str, Any]) -> str:
    return rounded(step["peak_bytes"] and step["peak_bytes"] / 2**30, ".1f")


def verdict(number: float, goal: float, reached: bool) -> str:
    return f"{goal} ({'reached' if reached else 'missed'})"


def product_table(runs: Sequence[tuple[list[str], dict[str, Any]]]) -> str:
    if not runs:
        return ""
    rows = []
    for (params, _, method), step in runs:
        goal = GOALS.get(method) if params == GOAL_SHAPE else None
        rows.append(
            [
                params,
                method,
                f"{step['examples']:,}",
                f"{step['run_seconds']:.2f}",
                "-" if goal is None else verdict(step["run_seconds"], goal, step["run_seconds"] < goal),
                f"{step['tokens_per_second']:,.0f}",
                rounded(step["fraction"], ".2f"),
                peak_of(step),
            ]
        )
    columns = ("shape", "method", "examples", "seconds", "goal, below", "tokens/s", "of the matrix rate", "peak GiB")
    return "## The product\n\n" + table(columns, rows)


def beside_table(runs: Sequence[tuple[list[str], dict[str, Any]]]) -> str:
    if not runs:
        return ""
    rows = []
    for (params, system, method), step in runs:
        ratio = step.get("product_is_times")
        asked = ratio is not None and (params, system, method) == (GOAL_SHAPE, GOAL_SYSTEM, "direct")
        same, largest = step.get("same_continuations"), step.get("largest_difference")
        rows.append(
            [
                params,
                system,
                method,
                f"{step['examples']:,}",
                f"{step['run_seconds']:.2f}",
                f"{step['examples_per_second']:.2f}",
                rounded(ratio, ".1f"),
                verdict(ratio, GOAL_RATIO, ratio >= GOAL_RATIO) if asked else "-",
                f"{same:.0%} the same" if same is not None else rounded(largest, ".1e"),
                peak_of(step),
            ]
        )
    columns = ("shape", "system", "method", "examples", "seconds", "examples/s", "product, times", "goal, at least")
    return "## Beside it\n\n" + table((*columns, "difference from the product", "peak GiB"), rows)


def kernel_table(words: Sequence[str], step: dict[str, Any]) -> str:
    rows = [
        [
            f"`{kernel['name']}`".replace("|", "/"),
            kernel["calls"],
            f"{kernel['milliseconds']:.1f}",
            f"{kernel['share']:.1%}",
        ]
        for kernel in step["kernels"]
    ]
    title = f"## Kernels: {words[0]}, {words[2]}, {step['examples']:,} examples"
    about = f"{step['profiled_seconds']:.2f} s with the profiler; a kernel ran in {step['busy']:.0%} of it."
    return f"{title}\n\n{about}\n\n{table(('kernel', 'calls', 'ms', 'share'), rows)}"


def steps_table(steps: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, step in steps.items():
        why = step.get("reason") or step.get("error", "").strip().splitlines()[-1:]
        rows.append(
            [name, step["state"], step["seconds"], (why if isinstance(why, str) else "".join(why)).replace("|", "/")]
        )
    return "## Steps\n\n" + table(("step", "state", "seconds", ""), rows)


def tests_part(step: dict[str, Any]) -> str:
    if "counts" not in step:
        return ""
    counts = ", ".join(f"{count} {end}" for end, count in step["counts"].items()) or "none ran"
    stopped = "; stopped before the end" if step["stopped"] else ""
    failed = "".join(f"\n- `{name}`" for name in step["failed"])
    log = f"\n\n```\n{step['log']}\n```" if "log" in step else ""
    return f"## Tests\n\n{counts}{stopped}{failed}{log}"
