"""What a PDF was before something was added to it: every incremental update ends like a file of its own."""

import hashlib
import re
from typing import Final

_END: Final = re.compile(rb"%%EOF(?:\r\n|\r|\n)?")


def revision_digests(pdf: bytes) -> tuple[str, ...]:
    """SHA-256 of the file, then of what it was before each later addition, newest first.

    A document that is kept for long gets newer time-stamps behind it; evidence names it as it was then.
    """
    state, done, found = hashlib.sha256(), 0, []
    # A file may end with its last line or with that line's end.
    for end in sorted({end for match in _END.finditer(pdf) for end in (match.start() + len(b"%%EOF"), match.end())}):
        state.update(pdf[done:end])
        done = end
        found.append(state.hexdigest())
    state.update(pdf[done:])
    return tuple(dict.fromkeys([state.hexdigest(), *reversed(found)]))
