"""Writing to a local disk so that it survives loss of power.

POSIX promises nothing for a file until the file is fsynced, nor for its name until its folder is; a new folder in turn
is lost when its parent is not fsynced.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of ``content``; the kernel may take it in pieces."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_durable_folder(folder: Path, *, mode: int) -> None:
    """Make ``folder`` and its parents where they don't exist, each durable in its parent.

    ``mode`` is that of all folders which this makes; those that exist keep theirs.
    """
    if folder.is_dir():
        return
    make_durable_folder(folder.parent, mode=mode)
    folder.mkdir(mode=mode, exist_ok=True)
    fsync_folder(folder.parent)
