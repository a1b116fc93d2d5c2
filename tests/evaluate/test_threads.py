"""The number of threads: the number of CPUs that are free at the start, unless the user sets it."""

import pytest
import torch

from evaluate import threads


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """(CPUs, number of busy ones, quota) -> a machine in that state; the number of threads that is set is recorded."""
    chosen: list[int] = []

    def build(cpus: int, busy: int, quota: str = "max 100000") -> list[int]:
        clock = [0.0]
        stat, limit = tmp_path / "stat", tmp_path / "cpu.max"
        limit.write_text(quota + "\n")
        monkeypatch.setattr(threads, "STAT", stat)
        monkeypatch.setattr(threads, "QUOTA", limit)
        monkeypatch.setattr(threads, "affinity", lambda: set(range(cpus)))
        monkeypatch.setattr("os.sysconf", lambda _: 100)
        monkeypatch.setattr("time.monotonic", lambda: clock[0])

        def write() -> None:
            """A busy CPU gains no idle ticks; CPU 99 is not ours and always idle."""
            idle = [0 if cpu < busy else round(clock[0] * 100) for cpu in range(cpus)]
            lines = [f"cpu{cpu} 5 5 5 {ticks} 0 0 0 0 0 0" for cpu, ticks in [*enumerate(idle), (99, clock[0] * 100)]]
            stat.write_text("\n".join(["cpu  9 9 9 9 9", *(line.replace(".0 ", " ") for line in lines), "intr 1"]))

        def sleep(seconds: float) -> None:
            clock[0] += seconds
            write()

        monkeypatch.setattr("time.sleep", sleep)
        monkeypatch.setattr(torch, "set_num_threads", chosen.append)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
        write()
        return chosen

    return build


@pytest.mark.parametrize(
    ("cpus", "busy", "quota", "processes", "expected"),
    [
        (8, 0, "max 100000", 1, 8),
        (8, 3, "max 100000", 1, 5),
        (8, 8, "max 100000", 1, 1),
        (8, 0, "400000 100000", 1, 4),
        (8, 6, "400000 100000", 1, 2),
        (8, 0, "50000 100000", 1, 1),
        (8, 2, "max 100000", 3, 2),
        (8, 0, "max 100000", 99, 1),
    ],
)
def test_as_many_threads_as_cpus_are_free(machine, monkeypatch, cpus, busy, quota, processes, expected):
    chosen = machine(cpus, busy, quota)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    threads.set_threads(None)
    assert chosen == [expected]


def test_the_line_gives_the_reason(machine):
    machine(8, 3)
    assert threads.set_threads(None) == "threads: 5, since 3 of 8 CPUs are busy; --threads overrides it"
    machine(8, 0)
    assert threads.set_threads(None) is None


def test_the_user_overrides(machine, monkeypatch):
    chosen = machine(8, 7)
    assert threads.set_threads(6) is None
    assert chosen == [6]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # torch has read it
    assert threads.set_threads(None) is None
    assert chosen == [6]


def test_without_proc_by_the_load_average(machine, monkeypatch, tmp_path):
    chosen = machine(8, 0)
    monkeypatch.setattr(threads, "STAT", tmp_path / "absent")
    monkeypatch.setattr("os.getloadavg", lambda: (5.4, 0.0, 0.0))
    threads.set_threads(None)
    assert chosen == [3]
