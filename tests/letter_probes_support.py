"""A letter helper whose documents may name what its reader shall do: to see what the walls make of it."""

import os
import socket
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from printing.asked import Asked
from service.inspection.framing import framed
from service.inspection.letter_checking import Noted, Picture, Told, main, told
from tests.validation_probes_support import PROBES as ANY
from tests.validation_probes_support import Pieces


def _told(*codes: str, pictures: tuple[Picture, ...] = (), behind: bytes = b"") -> Pieces:
    header = Told(tuple(map(Noted, codes)), (), (), 1, 1, pictures)
    return (framed(msgspec.json.encode(header), behind),)


def _tried(attempt: Callable[[], object]) -> Pieces:
    try:
        attempt()
    except OSError:
        return _told("PDF_UNREADABLE")
    return _told()


_ANY: Final = ("crash", "abort", "error", "noise", "nothing", "endless", "spin", "memory", "sleep")

PROBES: dict[str, Callable[[], Pieces]] = {
    **{name: ANY[name] for name in _ANY},
    "a code of its own": partial(_told, "Call 0900 12345"),
    "a picture that is none": partial(_told, pictures=(Picture(1, 6),), behind=b"<html>"),
    "a picture too short": partial(_told, pictures=(Picture(1, 99),), behind=b"\x89PNG\r\n\x1a\n"),
    "more than it says": partial(_told, behind=b"more"),
    "a header too long": lambda: (b"\xff\xff\xff\xff{}",),
    "socket": partial(_tried, socket.socket),
    "open a file": partial(_tried, Path("/etc/hostname").read_bytes),
    "fork": partial(_tried, os.fork),
}


def probing(asked: Asked, pdf: bytes) -> Iterable[bytes]:
    """Run the probe that the document names, or look at it."""
    text = pdf.rstrip()
    return PROBES[text[6:].decode()]() if text.startswith(b"probe:") else told(asked, pdf)


if __name__ == "__main__":
    main(sys.argv[1:], probing)
