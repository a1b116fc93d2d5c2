"""What the C library does with freed memory (glibc's malloc).

By default it returns large freed blocks to the system, which must zero their pages again for the next layer: a tenth of
the time of scoring on a CPU, and half of a training step with attention biases.
"""

import ctypes
import sys

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of malloc.h


def keep_freed_memory() -> None:
    """Keep large freed blocks for later allocations."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(MMAP_THRESHOLD, 2**30)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)


def release_freed_memory() -> None:
    """Return all free pages to the system. Kept blocks of many sizes would fragment, and grow to several times what is
    in use."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
