"""How many of a machine's worker processes do one kind of work at a time.

Work that mostly waits for others, and for whom is not ours to choose, would else take every process there is. The
places are bytes of a nameless file that all processes have from their parent: a dead process's place is free again.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


class Turnstile:
    """Places for processes; to be made before they are forked.

    Args:
        places: how many may be inside.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._file, name = tempfile.mkstemp()
        Path(name).unlink()

    def close(self) -> None:
        """Let go of the file; a process that ends does so by itself."""
        os.close(self._file)

    @contextlib.contextmanager
    def entered(self) -> Iterator[bool]:
        """Whether there was a place, which is held until the block ends; nobody waits for one."""
        place = next((each for each in range(self._places) if self._takes(each)), None)
        try:
            yield place is not None
        finally:
            if place is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def _takes(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True
