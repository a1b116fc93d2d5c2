"""Which kernels take the time of a run, by torch.profiler."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from serve import synchronize
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

KERNELS, LONGEST = 10, 100  # characters of a name


def profiled(run: Callable[[Sequence], Any], requests: Sequence) -> dict[str, Any]:
    """The kernels of one run that take most time; on a CPU, the operators.

    Returns:
        seconds of the run, which profiling lengthens; busy, the part of them in which a kernel ran; and the kernels,
        each with calls, milliseconds, and its share of the time of all kernels.

    Raises:
        RuntimeError: The profiler saw no kernel.
    """
    cuda = torch.cuda.is_available()
    synchronize()
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as recorded:
        begin = time.perf_counter()
        run(requests)
        synchronize()
        seconds = time.perf_counter() - begin
    kind = DeviceType.CUDA if cuda else DeviceType.CPU
    times = {
        event.key: (event.self_device_time_total if cuda else event.self_cpu_time_total, event.count)
        for event in recorded.key_averages()
        if event.device_type == kind
    }
    total = sum(microseconds for microseconds, _ in times.values())
    if not total:
        raise RuntimeError("the profiler recorded no kernel")
    longest = sorted(times.items(), key=lambda item: -item[1][0])[:KERNELS]
    kernels = [
        {"name": name[:LONGEST], "calls": calls, "milliseconds": microseconds / 1000, "share": microseconds / total}
        for name, (microseconds, calls) in longest
    ]
    return {"seconds": seconds, "busy": total / 1e6 / seconds, "kernels": kernels}
