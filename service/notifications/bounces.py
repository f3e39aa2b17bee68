"""What a mail that came back says: delivery reports (RFC 3464), replies by programs (RFC 3834), servers' own words.

A report is believed by what it says in its fields. What comes without one is a failure only where a mail server's own
account, as nobody, states a permanent SMTP reply and no word of a later try: of two mistakes, to call a notice failed
that arrived is the worse one. Whose notice it is about tells the address it came to, never its text.
"""

import email.message
import email.parser
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from enum import StrEnum
from typing import Final

MOST_BYTES: Final = 256 * 1024
"""So much of a mail is looked at; reports stand at its beginning."""
_MOST_PARTS: Final = 64
_MOST_TEXT: Final = 16 * 1024
_NESTING: Final = re.compile(rb"boundary\s*=|message/(?:rfc822|global|partial|external|news|http|sip)", re.IGNORECASE)

_DAEMONS: Final = frozenset({"mailer-daemon", "mailerdaemon", "mail-daemon", "mail.daemon", "postmaster"})
_NOBODY: Final = frozenset({"", "<>", "<#@[]>"})
_REPLY_MARKS: Final = ("x-autoreply", "x-autorespond", "x-autoresponse", "x-vacation", "x-auto-response")

_STATUS: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?!\d)", re.ASCII)
_FIELD: Final = re.compile(r"^([A-Za-z-]+):[ \t]*(.*)$", re.ASCII)
# A reply as servers write it into their sentences: "550 5.1.1", "(#5.1.1)", "said: 550 No such user".
_CODED: Final = re.compile(r"(?:\b5\d\d[ :-]{1,3}#?|\(#)(5\.[0-7]\.\d{1,3})(?!\.?\d)", re.ASCII)
_BARE: Final = re.compile(r"(?:^|:|<)[ \t]{0,8}55[0-4][ :-](?=\D)", re.ASCII | re.MULTILINE)
_FOR_NOW: Final = re.compile(
    r"\b4\d\d[ -]{1,3}#?4\.[0-7]\.\d{1,3}(?!\.?\d)|(?:^|:)[ \t]{0,8}4[25]\d[ -]\D", re.MULTILINE | re.ASCII
)
_LATER: Final = re.compile(
    r"warning message only|will (?:keep|continue) (?:on )?try|will be (?:re)?tried|will retry|still trying"
    r"|(?:do not|don't|need not|not need to) re-?send|no action is required|(?:been|is) delayed|\(delay\)|not yet been"
)
_GIVEN_UP: Final = re.compile(r"permanent error; i've given up|not going to try again|this is a permanent error")
_COPY: Final = re.compile(
    r"^-{2,}.{0,40}(?:copy of the message|original message|message header|returned message|undelivered message)"
    r"|^(?:>|received: from )",
    re.IGNORECASE | re.MULTILINE,
)
# Of an address or its domain: no such mailbox, moved, takes no mail, switched off, full; no such domain.
_OF_THE_ADDRESS: Final = re.compile(r"5\.1\.(?:0|1|2|3|4|6|10)|5\.2\.[0-2]|5\.4\.(?:4|310|312)", re.ASCII)


class Verdict(StrEnum):
    """What became of the notice, as far as a mail tells."""

    FAILED = "failed"
    """It was given up and reached nobody."""
    DELAYED = "delayed"
    """It is still being tried."""
    OTHER = "other"
    """Not about a failure: an answer by a program or a person, a report of success."""
    UNCLEAR = "unclear"
    """From a mail server, and not understood."""
    UNREADABLE = "unreadable"
    """No mail, or one made to exhaust whoever reads it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    Attributes:
        to: the fields in which the address stands that it came to.
        status: the enhanced status code (RFC 3463) of a failure, where one was given.
    """

    verdict: Verdict
    status: str | None = None
    to: Sequence[str] = ()

    @property
    def is_the_address(self) -> bool:
        """Whether it failed for the address, which will fail for the next notice too."""
        return is_of_the_address(self.status)


def is_of_the_address(status: str | None) -> bool:
    """Whether an enhanced status code says that an address or its domain takes no mail, whoever writes."""
    return status is not None and _OF_THE_ADDRESS.fullmatch(status) is not None


def read(raw: bytes) -> Reading:
    """Read one mail; whatever it is, it is no error."""
    raw = raw[:MOST_BYTES]
    if sum(1 for _ in _NESTING.finditer(raw)) > _MOST_PARTS:
        return Reading(Verdict.UNREADABLE)
    try:
        message = email.parser.BytesParser().parsebytes(raw)
        to = [
            str(value)
            for name in ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To")
            for value in message.get_all(name, [])
        ]
        verdict, status = _judge(message)
    # The parser of the standard library knows its own errors only for policies that raise; on hostile input these came.
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError, RecursionError):
        return Reading(Verdict.UNREADABLE)
    return Reading(verdict, status, tuple(to))


def _judge(message: email.message.Message) -> tuple[Verdict, str | None]:
    parts = list(_own_parts(message))
    kinds = {part.get_content_type() for part in parts}
    if kinds & {"message/disposition-notification", "message/feedback-report"}:
        return Verdict.OTHER, None
    reports = [part for part in parts if part.get_content_type() in _REPORTS]
    if reports:
        return _of_reports([fields for part in reports for fields in _recipients(part)])
    if "multipart/report" in kinds and _word(message.get_param("report-type")) not in {"", "delivery-status"}:
        return Verdict.OTHER, None
    return _of_words(message, parts)


_REPORTS: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})


def _own_parts(message: email.message.Message) -> Iterator[email.message.Message]:
    """A mail's parts, without those of mails that it quotes: a report in there is about somebody else's."""
    waiting = [message]
    while waiting:
        part = waiting.pop(0)
        yield part
        if part.get_content_maintype() == "multipart" and isinstance(part.get_payload(), list):
            waiting += [each for each in part.get_payload() if isinstance(each, email.message.Message)]


def _recipients(report: email.message.Message) -> list[dict[str, str]]:
    """The groups of fields that speak of a recipient, whether or not the parser took the report apart."""
    groups: list[dict[str, str]] = [{}]
    for line in _lines(report):
        if not line.strip():
            groups.append({})
        elif (field := _FIELD.match(line)) is not None:
            groups[-1].setdefault(field[1].lower(), field[2].strip())
    return [group for group in groups if "action" in group or "status" in group]


def _lines(report: email.message.Message) -> Iterator[str]:
    payload = report.get_payload()
    if isinstance(payload, list):
        # The parser's: each group of fields is a mail of its own, or, of the international kind, only the first.
        for each in payload:
            if isinstance(each, email.message.Message):
                yield from (f"{name}: {str(value).splitlines()[0] if value else ''}" for name, value in each.items())
                yield ""
                body = each.get_payload()
                yield from (str(body).splitlines() if not isinstance(body, list) else ())
                yield ""
    else:
        yield from _text(report).splitlines()


def _of_reports(groups: Sequence[dict[str, str]]) -> tuple[Verdict, str | None]:
    said = [_of_recipient(group) for group in groups]
    verdicts = {verdict for verdict, _ in said}
    # One notice has one recipient. Where an address stands for several people, one whom it reached is enough.
    for verdict in (Verdict.OTHER, Verdict.DELAYED, Verdict.UNCLEAR):
        if verdict in verdicts:
            return verdict, None
    return said[0] if said else (Verdict.UNCLEAR, None)


def _of_recipient(group: dict[str, str]) -> tuple[Verdict, str | None]:
    action = _word(group.get("action"))
    found = _STATUS.match(group.get("status", ""))
    status = found[1] if found else None
    if action in {"delivered", "relayed", "expanded"}:
        return Verdict.OTHER, None
    if action == "delayed":
        return Verdict.DELAYED, None
    if action == "failed" and (status is None or status[0] != "2"):
        # 4.x.x too: the server tried for days and has given up.
        return Verdict.FAILED, status
    if not action and status is not None:
        return {"5": (Verdict.FAILED, status), "4": (Verdict.DELAYED, None)}.get(status[0], (Verdict.OTHER, None))
    return Verdict.UNCLEAR, None


def _of_words(message: email.message.Message, parts: Sequence[email.message.Message]) -> tuple[Verdict, str | None]:
    author = parseaddr(str(message.get("From", "")))[1].rpartition("@")[0] or str(message.get("From", "")).strip()
    if author.lower() not in _DAEMONS or str(message.get("Return-Path", "")).strip() not in _NOBODY:
        return Verdict.OTHER, None
    refused_for = message.get("X-Failed-Recipients") is not None
    answered = _word(message.get("Auto-Submitted")) == "auto-replied" and not refused_for
    if answered or any(message.get(name) is not None for name in _REPLY_MARKS):
        return Verdict.OTHER, None
    text = next((_text(part) for part in parts if part.get_content_type() == "text/plain"), "")[:_MOST_TEXT]
    if (copy := _COPY.search(text)) is not None:
        text = text[: copy.start()]
    coded, lowered = _CODED.search(text), " ".join(text.lower().split())
    status = coded[1] if coded else None
    if _GIVEN_UP.search(lowered):
        return Verdict.FAILED, status
    if _LATER.search(lowered):
        return Verdict.DELAYED, None
    if (coded or _BARE.search(text)) and not _FOR_NOW.search(text):
        return Verdict.FAILED, status
    return Verdict.UNCLEAR, None


def _text(part: email.message.Message) -> str:
    content = part.get_payload(decode=True)
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""


def _word(value: object) -> str:
    """The first word of a field, in lower case, without comments and parameters."""
    return re.split(r"[\s;(,]", str(value or "").strip().lower(), maxsplit=1)[0]
