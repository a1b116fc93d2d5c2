"""Batches computed by as many replicas as there are, each result on disk before the next begins.

The plan of batches is the same on all ranks. A replica that is free claims the next batch that no earlier session has
completed; at the end rank 0 gathers what all have computed. So a result depends neither on the number of replicas nor
on how often the run was stopped.
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
    """Results collected until those of an example are complete; then it becomes a row.

    Args:
        owners: The example of each result, by index; an example's results have ascending indices.
        decide: (example, its results in their order) -> its row.
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
        """Take a result; one that is there already changes nothing."""
        owner = self.owners[index]
        if owner in self.rows:
            return
        held = self.waiting.setdefault(owner, {})
        held[index] = result
        if len(held) == self.missing[owner]:
            self.rows[owner] = self.decide(owner, [held[place] for place in sorted(held)])
            del self.waiting[owner]


class Bar:
    """A bar over the results of all replicas, on rank 0, with the accuracy so far of the examples it knows.

    Leaving it, by Ctrl-C too, ends its line.
    """

    def __init__(self, launch: Launch, total: int, description: str):
        self.hidden = launch.rank != 0
        self.right = self.known = 0
        self.bar = tqdm(total=total, desc=description, unit="request", disable=self.hidden, dynamic_ncols=True)

    def show(self, done: int, examples: Examples) -> None:
        """Move to `done` results."""
        if self.hidden:
            return
        if len(examples.rows) > self.known:
            rows = list(examples.rows.values())[self.known :]  # in the order in which they were completed
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
    """What rank 0 has in its hands when all batches are computed.

    Args:
        rows: One an example.
        seconds: Of all sessions; None where that is not known.
        tokens_computed: That passed the model, padding among them; None where that is not known.
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
    """Compute what no earlier session has computed.

    Args:
        computation: The batches.
        record: What is kept of one result: a JSON value.
        examples: Where the results go, on rank 0.
        journal: Locked by rank 0.
        identity: What a result is a function of, the plan of batches included.
        launch: This process.
        description: Of the bar.

    Returns:
        The outcome on rank 0, None elsewhere.
    """
    found = journal.read(identity) if launch.rank == 0 else Progress()
    name = str(journal.output_path)
    told = {"identity": identity, "done": sorted(found.batches), "session": len(found.sessions)}
    shared = launch.from_rank_0(name, lambda: told)
    if shared["identity"] != json.loads(json.dumps(identity)):
        raise InputError(f"{name}: prompts or checkpoint were replaced while the processes read them; start again")
    done = set(shared["done"])
    pending = [number for number in range(len(computation.batches)) if number not in done]
    for index, result in found.results.items():
        examples.add(index, result)
    sizes = [len(computation.batches[number].sequences()) for number in pending]
    completed = len(examples.owners) - sum(sizes)
    if done and launch.rank == 0:
        print(
            f"{journal.folder}: goes on where it stopped, {len(done)} of {len(computation.batches)} batches are there"
        )
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
    total = sum(found.sessions.values()) + max(part[0] for part in parts)
    return Outcome(rows, total, count_tokens(computation.batches))
