"""Work of concurrent callers done together: one transaction, or one round of waiting for a disk, for all who are there.

Group commit, as databases do it for their log: whoever comes and finds nobody at work does it at once, alone; those who
come meanwhile wait, and the first of them then does it for all. A lone caller waits for nobody.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Place(Generic[Item, Result]):
    """Somebody's place in the row; ``ready`` tells them that it is done, or that it is their turn to do it."""

    item: Item
    ready: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    result: Result | None = None
    error: BaseException | None = None


class Together(Generic[Item, Result]):
    """Where callers of one kind of work meet; for the threads of one process.

    Args:
        most: how many are served together at most; more would bring little and make the last ones wait.
        hopeless: whether a failure of a whole group is no reason to try each of its members alone: it has nothing to do
            with any of them, or trying again is not safe.
    """

    def __init__(self, *, most: int, hopeless: Callable[[Exception], bool] = lambda _: False) -> None:
        self._most = most
        self._hopeless = hopeless
        self._lock = threading.Lock()
        self._waiting: deque[_Place[Item, Result]] = deque()
        self._busy = False

    def do(self, item: Item, work: Callable[[Sequence[Item]], Sequence[Result | Exception]]) -> Result:
        """Have ``work`` done for ``item``, by this thread or another's.

        Args:
            item: what to do it for.
            work: does it for several; gives a result, or an error that is this member's own, for each in their order.
                When it raises, each member is tried alone, so that one can't spoil it for the others: it must be safe
                to repeat after an error that is not hopeless.

        Raises:
            Exception: whatever the work raised for this item.
        """
        place: _Place[Item, Result] = _Place(item)
        with self._lock:
            self._waiting.append(place)
            place.leads = not self._busy
            self._busy = True
        if not place.leads:
            place.ready.wait()
        if place.leads:
            self._lead(work)
        if place.error is not None:
            raise place.error
        return cast("Result", place.result)

    def _lead(self, work: Callable[[Sequence[Item]], Sequence[Result | Exception]]) -> None:
        with self._lock:
            members = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        try:
            self._serve(members, work)
        except BaseException as error:
            # This thread is being ended; nobody may wait for it for ever.
            for member in members:
                member.error = member.error or error
            raise
        finally:
            with self._lock:
                successor = self._waiting[0] if self._waiting else None
                self._busy = successor is not None
            for member in members:
                member.leads = False
                member.ready.set()
            if successor is not None:
                successor.leads = True
                successor.ready.set()

    def _serve(
        self,
        members: Sequence[_Place[Item, Result]],
        work: Callable[[Sequence[Item]], Sequence[Result | Exception]],
    ) -> None:
        try:
            results = work([member.item for member in members])
        except Exception as error:  # noqa: BLE001  raised again for whoever it concerns
            if len(members) > 1 and not self._hopeless(error):
                for member in members:
                    self._serve([member], work)
                return
            for member in members:
                member.error = error
            return
        for member, result in zip(members, results, strict=True):
            if isinstance(result, Exception):
                member.error = result
            else:
                member.result = result
