"""Counting what leaves a process by other means than the wrappers: the driver's own trace, the interpreter's audit."""

import os
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import psycopg
from psycopg.pq import Trace

from bench.lives import Life
from bench.wishes import Run
from bench.world import World

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# A message of ours in libpq's trace; a statement's own lines follow it as they are.
_MESSAGE = re.compile(r'^F\t\d+\t(?P<kind>\w+)\t ?"?(?P<word>\w*)', re.MULTILINE)
_CHANGES = frozenset(
    {
        "os.rename",
        "os.remove",
        "os.link",
        "os.symlink",
        "os.mkdir",
        "os.rmdir",
        "os.truncate",
        "socket.connect",
        "socket.sendto",
    }
)


@dataclass
class Seen:
    """What one life did, counted twice.

    Attributes:
        run: with the wrappers' counts.
        statements: by the wrappers.
        traced: messages of the database's protocol, as its own library wrote them down, by what they are.
        escaped: changes of a disk and connections, as the interpreter told of them, that no wrapper was open for.
    """

    run: Run
    statements: int = 0
    traced: Counter[str] = field(default_factory=Counter)
    escaped: list[str] = field(default_factory=list)


def live_counted(place: World, line: "Connection[Any, Any]") -> None:
    """Live twice, and tell what the second life did; for a process of its own, which it marks for good."""
    _live(place, Run("first"), Counter(), [])
    traced: Counter[str] = Counter()
    escaped: list[str] = []
    run = Run("second")
    life = _live(place, run, traced, escaped)
    line.send(Seen(run, life._watch.statements, traced, escaped))
    line.close()


def _live(place: World, run: Run, traced: Counter[str], escaped: list[str]) -> Life:
    real = psycopg.connect
    with tempfile.TemporaryFile("w+b") as trace:

        def connect(*values: Any, **more: Any) -> Any:
            made = real(*values, **more)
            # The judge's own connections are not the service's.
            if made.info.user != "zending_owner":
                made.pgconn.trace(trace.fileno())
                made.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
            return made

        life = Life(place, run, None, 100.0, lambda **told: run.take(told))
        # What was asked before the life began is no part of it: its connections are made anew, under both counts.
        life._context.database.dispose()
        psycopg.connect = connect
        try:
            watch, on = life._watch, [True]

            def hear(event: str, values: tuple[Any, ...]) -> None:
                if on and not watch.inside and (event in _CHANGES or (event == "open" and _for_writing(values))):
                    escaped.append(f"{event} {values[:2]}")

            sys.addaudithook(hear)
            life.live()
            on.clear()
            life.close()
        finally:
            psycopg.connect = real
        trace.seek(0)
        traced.update(_kind(found) for found in _MESSAGE.finditer(trace.read().decode(errors="replace")))
    return life


def _for_writing(values: tuple[Any, ...]) -> bool:
    path, _, flags = values
    return not isinstance(path, int) and isinstance(flags, int) and bool(flags & _WRITES)


def _kind(message: re.Match[str]) -> str:
    """``Execute`` for a statement with values, ``Query`` for one without, and the words that end transactions."""
    word = message["word"].upper()
    return word if word in {"BEGIN", "COMMIT", "ROLLBACK", "DEALLOCATE"} else message["kind"]
