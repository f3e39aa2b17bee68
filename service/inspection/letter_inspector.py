"""Letters looked at behind walls before they are printed: the service's side."""

from collections.abc import Collection
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog

from printing.checks import Findings
from printing.errors import Problem
from printing.pictures import NONE, Wanted
from printing.profiles import Profile
from printing.sentences import SENTENCES, problem
from printing.zones import Mode
from service.inspection.framing import Unframed, unframed
from service.inspection.letter_checking import LONGEST_HEADER, AskedLetter, Noted, Told, question
from service.inspection.limits import InspectionLimits
from service.inspection.readers import ReaderFailed, Readers

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

    def check_document(
        self, pdf: bytes, profile: Profile, mode: Mode, *, duplex: bool = True, pictures: Wanted = NONE
    ) -> Findings:
        """`printing.checks.check_document`, behind walls.

        Raises:
            Retryable: no place became free, the machine held the check up, or the helper cannot be started.
        """
        pages, language = tuple(sorted(pictures.pages)), pictures.language
        return self._ask(AskedLetter("document", profile, duplex, mode=mode, pages=pages, language=language), pdf)

    def check_letter(
        self,
        pdf: bytes,
        *,
        sheets: int,
        profile: Profile,
        duplex: bool,
        own_codes: Collection[str] = (),
        source_bytes: int | None = None,
        pictures: Wanted = NONE,
    ) -> Findings:
        """`printing.checks.check_letter`, behind walls.

        Raises:
            Retryable: no place became free, the machine held the check up, or the helper cannot be started.
        """
        asked = AskedLetter(
            "letter",
            profile,
            duplex,
            sheets=sheets,
            own_codes=tuple(own_codes),
            source_bytes=source_bytes,
            pages=tuple(sorted(pictures.pages)),
            language=pictures.language,
        )
        return self._ask(asked, pdf)

    def _ask(self, asked: AskedLetter, pdf: bytes) -> Findings:
        if len(pdf) > 2 * self._limits.size:
            return Findings(problems=(problem("FILE_TOO_BIG"),))
        try:
            wire = self._readers.read(question(asked, pdf))
        except ReaderFailed as error:
            _log.warning("letter_check_unfinished", reason=error.reason, ended=error.ended)
            return Findings(problems=(problem(f"CHECK_{error.reason.upper()}"),))
        found = _understood(wire, asked.profile)
        if found is None:
            _log.warning("letter_check_unfinished", reason="crashed", ended="malformed answer")
            return Findings(problems=(problem("CHECK_CRASHED"),))
        return found


def _understood(wire: bytearray, profile: Profile) -> Findings | None:
    """What a reader wrote, or None when it is not what an honest reader writes."""
    try:
        header, rest = unframed(wire, LONGEST_HEADER)
        told = _DECODER.decode(header)
    except (Unframed, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    noted = (*told.problems, *told.warnings)
    if any(each.code not in SENTENCES for each in noted) or sum(each.size for each in told.pictures) != len(rest):
        return None
    pictures, at = {}, 0
    for each in told.pictures:
        pictures[each.page] = bytes(rest[at : at + each.size])
        at += each.size
    if not all(png.startswith(_PNG) for png in pictures.values()):
        return None
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
