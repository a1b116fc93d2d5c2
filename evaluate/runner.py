"""Computes batches on all replicas, and writes each result to disk before the next batch.

All ranks have the same plan of batches. A free replica claims the next batch that no earlier session has completed; at
the end rank 0 gathers all results. So a result does not depend on the number of replicas or interruptions.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from evaluate.journal import Journal, Progress
from llama.batches import count_tokens
from llama.parallel import Launch
from llama.shared import Computation
from preprocess.errors import InputError

PredictionRow = dict[str, Any]


class Examples:
    """Collects results; when those of an example are complete, they become a row.

    Args:
        owners: The example of each result, by index; an example's results have ascending indices.
        decide: (example, its results in order) -> its row.
    """

    def __init__(self, owners: Sequence[int], decide: Callable[[int, list[Any]], PredictionRow]):
        self.owners = owners
        self.decide = decide
        self.waiting: dict[int, dict[int, Any]] = {}
        self.missing = [0] * (max(owners, default=-1) + 1)
        for owner in owners:
            self.missing[owner] += 1
        self.rows: dict[int, PredictionRow] = {}

    def add(self, index: int, result: Any) -> None:
        """Add a result; a duplicate has no effect."""
        owner = self.owners[index]
        if owner in self.rows:
            return
        results = self.waiting.setdefault(owner, {})
        results[index] = result
        if len(results) == self.missing[owner]:
            self.rows[owner] = self.decide(owner, [results[place] for place in sorted(results)])
            del self.waiting[owner]


class Bar:
    """A progress bar on rank 0 over the results of all replicas, with the accuracy of the examples computed so far.

    Leaving the context, also by Ctrl-C, ends its line.
    """

    def __init__(self, launch: Launch, total: int, description: str):
        self.hidden = launch.rank != 0
        self.right = self.known = 0
        self.bar = tqdm(total=total, desc=description, unit="request", disable=self.hidden, dynamic_ncols=True)

    def show(self, done: int, examples: Examples) -> None:
        """Show `done` results."""
        if self.hidden:
            return
        if len(examples.rows) > self.known:
            rows = list(examples.rows.values())[self.known :]  # in order of completion
            self.known += len(rows)
            self.right += sum(row.get("correct", False) for row in rows)
            if "correct" in rows[0]:
                self.bar.set_postfix_str(f"accuracy {self.right / self.known:.4f}", refresh=False)
        self.bar.update(done - self.bar.n)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


@dataclass(frozen=True)
class Outcome:
    """The result of all batches, on rank 0.

    Args:
        rows: One for each example.
        seconds: Time of all sessions; None if unknown.
        tokens_computed: Number of tokens that passed the model, including padding; None if unknown.
    """

    rows: list[PredictionRow]
    seconds: float | None
    tokens_computed: int | None


def run_batches(
    computation: Computation[Any],
    record: Callable[[Any], Any],
    examples: Examples,
    journal: Journal,
    identity: dict[str, Any],
    launch: Launch,
    description: str,
) -> Outcome | None:
    """Compute the batches that no earlier session has completed.

    Args:
        computation: The batches.
        record: Converts a result to the JSON value that is stored.
        examples: Collects the results on rank 0.
        journal: Locked by rank 0.
        identity: The inputs that determine the result, including the plan of batches.
        launch: This process.
        description: Text of the progress bar.

    Returns:
        The outcome on rank 0, None elsewhere.

    Raises:
        InputError: The processes read different inputs.
    """
    progress = journal.read(identity) if launch.rank == 0 else Progress()
    name = str(journal.output_path)
    state = {"identity": identity, "done": sorted(progress.batches), "session": len(progress.sessions)}
    shared = launch.from_rank_0(name, lambda: state)
    if shared["identity"] != json.loads(json.dumps(identity)):
        raise InputError(f"{name}: prompts or checkpoint changed while the processes read them; start again")
    done = set(shared["done"])
    pending = [number for number in range(len(computation.batches)) if number not in done]
    for index, result in progress.results.items():
        examples.add(index, result)
    sizes = [len(computation.batches[number].sequences()) for number in pending]
    completed = len(examples.owners) - sum(sizes)
    if done and launch.rank == 0:
        print(f"{journal.folder}: resuming, {len(done)} of {len(computation.batches)} batches are finished")
    if launch.leads_replica and pending:
        journal.begin(identity | {"session": shared["session"]})

    begin = time.perf_counter()
    own: list[tuple[int, Any]] = []
    with Bar(launch, len(examples.owners), description) as bar:
        bar.show(completed, examples)
        for claimed in launch.claims(name, len(pending)):
            results = [(index, record(result)) for index, result in computation.compute(pending[claimed])]
            own += results
            if launch.leads_replica:
                seconds = round(time.perf_counter() - begin, 3)
                journal.append({"batch": pending[claimed], "seconds": seconds, "results": results})
            if launch.rank == 0:
                for index, result in results:
                    examples.add(index, result)
                bar.show(completed + sum(sizes[: claimed + 1]), examples)
        seconds = time.perf_counter() - begin
        parts = launch.gather((seconds, own if launch.leads_replica else []))
        if launch.rank != 0:
            return None
        for _, results in parts:
            for index, result in results:
                examples.add(index, result)
        bar.show(len(examples.owners), examples)
    rows = [examples.rows[example] for example in range(len(examples.missing))]
    total = sum(progress.sessions.values()) + max(part[0] for part in parts)
    return Outcome(rows, total, count_tokens(computation.batches))
