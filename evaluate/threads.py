"""The number of threads of a process on a CPU: the number of CPUs that are free when it starts.

On a busy machine, two threads can take several times as long as one, because each layer waits for the slower thread.
"""

import os
import time
from pathlib import Path

import torch

SECONDS = 0.25  # of observation, during which this process is idle
STAT = Path("/proc/stat")
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def set_threads(asked: int | None) -> str | None:
    """Choose and set the number of threads of this process.

    Args:
        asked: The value of --threads; None: OMP_NUM_THREADS if it is set, else the number of free CPUs divided by the
            number of processes on this machine.

    Returns:
        A line that explains why there are fewer threads than CPUs; None if there are not, or if the user chose the
        number.
    """
    if asked is not None:
        torch.set_num_threads(asked)
        return None
    if "OMP_NUM_THREADS" in os.environ:  # torchrun also sets it if it starts several processes
        return None
    allowed = allowed_cpus()
    free = min(allowed, free_cpus())
    threads = max(1, free // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    torch.set_num_threads(threads)
    if free >= allowed:
        return None
    return f"threads: {threads}, since {allowed - free} of {allowed} CPUs are busy; --threads overrides it"


def allowed_cpus() -> int:
    """Number of CPUs that this process may use, by its affinity and the quota of its control group (cgroup v2)."""
    count = len(affinity())
    try:
        quota, period = QUOTA.read_text().split()
    except (OSError, ValueError):
        return count
    return count if quota == "max" else max(1, min(count, int(quota) // int(period)))


def affinity() -> set[int]:
    """The CPUs on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def free_cpus() -> int:
    """Number of this process's CPUs that are idle now, rounded; without /proc, estimated from the load average."""
    before = idle_times()
    if before is None:
        return max(0, len(affinity()) - round(os.getloadavg()[0]))
    began = time.monotonic()
    time.sleep(SECONDS)
    after, elapsed = idle_times(), time.monotonic() - began
    ticks = elapsed * os.sysconf("SC_CLK_TCK")
    return round(sum(min(1.0, (after[cpu] - before[cpu]) / ticks) for cpu in before))


def idle_times() -> dict[int, int] | None:
    """CPU -> idle ticks, including waits for the disk; None if they are unknown."""
    try:
        lines = STAT.read_text().splitlines()
    except OSError:
        return None
    fields = [line.split() for line in lines if line.startswith("cpu") and line[3:4].isdecimal()]
    times = {int(name[3:]): int(rest[3]) + int(rest[4]) for name, *rest in fields}
    return {cpu: idle for cpu, idle in times.items() if cpu in affinity()} or None
