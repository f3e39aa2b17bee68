"""Letters looked at behind walls before they are printed: the service's side."""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog

from printing.asked import Look
from printing.checks import Findings
from printing.errors import Problem
from printing.profiles import Profile
from printing.sentences import SENTENCES, problem
from service.domain.errors import Retryable
from service.inspection.framing import Unframed, unframed
from service.inspection.letter_checking import LONGEST_HEADER, Noted, Told, question
from service.inspection.limits import MIB, InspectionLimits
from service.inspection.readers import HeldUp, ReaderFailed, Readers

MOST_TOGETHER: Final = 16
BYTES_TOGETHER: Final = 4 * MIB
"""What is larger has a reader of its own."""

_PROGRAM: Final = "service.inspection.letter_checking"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_DECODER: Final = msgspec.json.Decoder(Told)

_log = structlog.get_logger(__name__)


class LetterInspector:
    """Looks at documents and letters that come from anywhere; a context manager, as `Readers` is.

    Nothing in a document makes a check fail: what crashes its reader, or takes too much of a processor or of memory,
    has the problem ``CHECK_CRASHED``, ``CHECK_TIMEOUT`` or ``CHECK_MEMORY``.
    """

    def __init__(self, limits: InspectionLimits, *, program: str = _PROGRAM, late: bool = False) -> None:
        self._limits = limits
        self._readers = Readers(limits, program, late=late)

    def __enter__(self) -> Self:
        self._readers.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._readers.__exit__(kind, error, at)

    @property
    def helper_pid(self) -> int:
        """The helper's process id."""
        return self._readers.helper_pid

    def check(self, looks: Sequence[Look]) -> list[Findings | Retryable]:
        """Look at documents and letters of one organisation, in as few readers as can be.

        Those of a group share a reader, unless that comes to no good end: then each has one of its own, so that
        whichever is to blame harms no other.

        Returns:
            For each what was found, or why that cannot be known at present: no place became free, the machine held the
            check up, or the helper cannot be started.
        """
        found: list[Findings | Retryable] = []
        for group in _groups(looks):
            found += self._together(group) or [self._alone(look) for look in group]
        return found

    def _together(self, group: Sequence[Look]) -> Sequence[Findings | Retryable]:
        """What is found of several; nothing where their reader comes to no good end."""
        if len(group) == 1:
            return ()
        try:
            wire = self._readers.read(question(group))
        except (ReaderFailed, HeldUp) as error:
            ended = error.ended if isinstance(error, ReaderFailed) else "held up"
            _log.warning("letters_looked_at_one_by_one", letters=len(group), ended=ended)
            return ()
        except Retryable as error:
            return [error] * len(group)
        return _understood(wire, group) or ()

    def _alone(self, look: Look) -> Findings | Retryable:
        _, pdf = look
        if len(pdf) > 2 * self._limits.size:
            return Findings(problems=(problem("FILE_TOO_BIG"),))
        try:
            wire = self._readers.read(question([look]))
        except Retryable as error:
            return error
        except ReaderFailed as error:
            _log.warning("letter_check_unfinished", reason=error.reason, ended=error.ended)
            return Findings(problems=(problem(f"CHECK_{error.reason.upper()}"),))
        found = _understood(wire, [look])
        if found is None:
            _log.warning("letter_check_unfinished", reason="crashed", ended="malformed answer")
            return Findings(problems=(problem("CHECK_CRASHED"),))
        return found[0]


def _groups(looks: Sequence[Look]) -> Iterator[list[Look]]:
    """The same in their order, parted so that a reader's limits, which are for one document, do for several."""
    group: list[Look] = []
    size = 0
    for look in looks:
        _, pdf = look
        if group and (len(group) == MOST_TOGETHER or size + len(pdf) > BYTES_TOGETHER):
            yield group
            group, size = [], 0
        group.append(look)
        size += len(pdf)
    if group:
        yield group


def _understood(wire: bytearray, looks: Sequence[Look]) -> list[Findings] | None:
    """What a reader wrote about these, or None when it is not what an honest reader writes."""
    rest = memoryview(wire)
    found = []
    for asked, _ in looks:
        try:
            header, rest = unframed(rest, LONGEST_HEADER)
            told = _DECODER.decode(header)
        except (Unframed, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if any(each.code not in SENTENCES for each in (*told.problems, *told.warnings)):
            return None
        pictures = {}
        for each in told.pictures:
            pictures[each.page], rest = bytes(rest[: each.size]), rest[each.size :]
            if len(pictures[each.page]) < each.size or not pictures[each.page].startswith(_PNG):
                return None
        found.append(_findings(told, asked.profile, pictures))
    return None if rest else found


def _findings(told: Told, profile: Profile, pictures: Mapping[int, bytes]) -> Findings:
    envelope = profile.envelope_for(told.sheets)
    return Findings(
        problems=tuple(map(_told, told.problems)),
        warnings=tuple(map(_told, told.warnings)),
        window_lines=told.window_lines,
        pages=told.pages,
        sheets=told.sheets,
        grams=profile.grams(told.sheets) if told.sheets else 0,
        envelope=envelope.name if envelope and told.sheets else None,
        pictures=pictures,
    )


def _told(noted: Noted) -> Problem:
    return problem(noted.code, noted.page, noted.boxes)
