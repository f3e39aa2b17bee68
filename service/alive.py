"""A sign of life of programs that answer nobody: a file that is touched as long as they live."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

EVERY: Final = 5.0
"""Seconds between two signs."""
FRESH: Final = 30.0
"""Seconds for which a sign counts."""


def give_signs(file: Path | None, lives: Callable[[], bool]) -> None:
    """Touch ``file`` from a thread of its own while ``lives`` says so, until the process ends; None: do nothing."""
    if file is not None:
        threading.Thread(target=_give_signs, args=(file, lives), name="alive", daemon=True).start()


def is_alive(file: Path) -> bool:
    """Whether the last sign is recent."""
    try:
        return time.time() - file.stat().st_mtime < FRESH
    except OSError:
        return False


def has_children() -> bool:
    """Whether this process has started others that still run."""
    return any((task / "children").read_text("ascii").strip() for task in Path("/proc/self/task").iterdir())


def _give_signs(file: Path, lives: Callable[[], bool]) -> None:
    while True:
        if lives():
            try:
                file.touch(mode=0o600)
            except OSError as error:
                log.warning("no_sign_of_life", error=type(error).__name__)
        time.sleep(EVERY)
