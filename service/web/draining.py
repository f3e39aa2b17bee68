"""A web server that was asked to stop: it says so before it does, so that nobody is sent to it any more.

The server's first process makes a mark; the processes that answer look for it. While it is there, readiness says no and
every answer closes its connection; requests are answered as ever until the time is over.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MARK: Final = "ZENDING_DRAINING_MARK"
"""Environment variable by which a server's processes know the place of its mark; set by the first of them."""


def is_draining() -> bool:
    """Whether this process's server was asked to stop."""
    place = os.environ.get(MARK)
    return place is not None and os.path.exists(place)  # noqa: PTH110  asked for every request


@contextmanager
def draining_place() -> Iterator[Path]:
    """A place for the mark, told to the processes that are started within the block."""
    with tempfile.TemporaryDirectory(prefix="zending-") as folder:
        place = Path(folder) / "draining"
        os.environ[MARK] = str(place)
        try:
            yield place
        finally:
            del os.environ[MARK]


def stop_after(seconds: float, place: Path, stop: Callable[..., object]) -> Callable[..., None]:
    """A signal handler that marks the server as draining, and stops it ``seconds`` later, or at the second signal."""

    def handle(*_: object) -> None:
        if place.exists() or seconds <= 0:
            stop()
            return
        place.touch()
        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()

    return handle
