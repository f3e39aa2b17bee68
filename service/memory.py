"""Memory of a process: large blocks are given back, and what stays is not looked through again and again."""

import ctypes
import gc
from typing import Final

MEBIBYTE: Final = 1024 * 1024
GARBAGE_THRESHOLDS: Final = (10_000, 20, 20)
LOADING_THRESHOLDS: Final = (50_000, 20, 100)
_MMAP_THRESHOLD: Final = -3
"""``M_MMAP_THRESHOLD`` of ``mallopt(3)``."""


def give_back_large_blocks() -> bool:
    """Let every block of a megabyte or more go back to the system once it is freed; False where that can't be said.

    By itself glibc learns from the first large block that is freed to keep such blocks for the next, up to 32 MiB of
    them, and does so for each thread by itself: a process whose threads handle documents then holds a document for each
    of them for ever. A block that is asked of the system costs some page faults, which is little beside its encryption.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(_MMAP_THRESHOLD, MEBIBYTE))


def load() -> None:
    """Say that what is made from now on mostly stays: modules, of which a command loads hundreds.

    Looking through them for cycles at Python's usual pace takes a tenth of the time until a command begins.
    """
    gc.set_threshold(*LOADING_THRESHOLDS)


def settle() -> None:
    """Say that what is loaded by now stays for good, and let Python look for cycles less often than by itself.

    Requests and PDFs are many small objects that go as soon as nobody refers to them; looking for cycles among them at
    Python's usual pace costs a sixth of a worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
