"""Runs pyHanko's coroutines where there is neither network nor anything else to wait for."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class _Nothing:
    """Stands where an event loop keeps what it waits for: there is nothing, so only timers pass."""

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("a check waits for something that can't come: nothing is fetched")
        if timeout > 0:
            time.sleep(timeout)
        return []


class _Loop(asyncio.BaseEventLoop):
    """An event loop without a socket: it may be made behind walls that allow none, and costs nothing to make."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Nothing()

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing ever happens outside."""

    def _write_to_self(self) -> None:
        """No thread ever waits."""


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run ``work`` to its end in this thread."""
    loop = _Loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
