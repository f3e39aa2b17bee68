"""Reading a hand-in's ``multipart/form-data`` body as it arrives (RFC 7578).

Nothing touches a disk: files of people's letters stay in memory, within a bound that all uploads of the process share,
until the use case has encrypted them. Whatever is too large is refused before it was read whole.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from litestar import Request
from litestar.exceptions import InternalServerException
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from service.domain.errors import FieldError, Invalid, PayloadTooLarge
from service.usecases.admission import DEFAULT_NAME, Upload
from service.web.errors import Busy, MediaTypeUnsupported, RequestMalformed, UploadTooSlow

KIBIBYTE: Final = 1024
DELIVERY, DOCUMENT, ATTACHMENT = "delivery", "document", "attachment"
MULTIPART: Final = "multipart/form-data"
JSON_BYTES: Final = 64 * KIBIBYTE
"""The longest part ``delivery``; its fields are far shorter together."""
_FRAME_BYTES: Final = 2 * KIBIBYTE
"""Allowed for each part's boundary and headers."""
_LONGEST_NAME: Final = 1024
_LONGEST_BOUNDARY: Final = 70  # RFC 2046, section 5.1.1


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bounds of one hand-in.

    Attributes:
        delivery_bytes: all documents of a delivery together.
        documents: how many documents a delivery may have.
        chunk_seconds: how long one piece of the body may take to come.
        body_seconds: how long the whole body may take.
    """

    delivery_bytes: int
    documents: int
    chunk_seconds: float = 30.0
    body_seconds: float = 300.0

    @property
    def body_bytes(self) -> int:
        """The longest body that could still be a good one."""
        return self.delivery_bytes + JSON_BYTES + (self.documents + 1) * _FRAME_BYTES


class UploadMemory:
    """A share of memory that all uploads of this process together stay within.

    An upload reserves the length it announces, or the most it may have if it announces none, before anything is read,
    and holds it until its hand-in has ended. Small letters so wait for no large ones, as long as there is room.

    Args:
        most: bytes for all uploads together; at least one full upload, or none would ever fit.
        most_each: bytes for all uploads of one owner together, so that nobody takes everything; ``most`` unless given.
        wait: seconds an upload may wait for room before it is told to come back later.
    """

    def __init__(self, most: int, *, most_each: int | None = None, wait: float = 5.0) -> None:
        self._most, self._free, self._wait = most, most, wait
        self._most_each = most if most_each is None else most_each
        self._held: Counter[object] = Counter()
        self._given_back = asyncio.Event()

    @property
    def free(self) -> int:
        """Bytes that are not reserved."""
        return self._free

    @asynccontextmanager
    async def reserved(self, size: int, owner: object) -> AsyncIterator[None]:
        """Hold room for ``size`` bytes for the length of the block, on the account of ``owner`` (an organisation).

        Raises:
            Busy: no room came free in time.
        """
        size = min(size, self._most_each)
        try:
            async with asyncio.timeout(self._wait):
                while self._free < size or self._held[owner] + size > self._most_each:
                    self._given_back.clear()
                    await self._given_back.wait()
        except TimeoutError:
            raise Busy from None
        # Nothing is awaited between the last look and here, so no other upload took the room meanwhile.
        self._free -= size
        self._held[owner] += size
        try:
            yield
        finally:
            self._free += size
            self._held[owner] -= size
            if not self._held[owner]:
                del self._held[owner]
            self._given_back.set()


@dataclass
class _Part:
    name: str
    filename: str = field(repr=False)
    most: int
    pieces: list[bytes] = field(default_factory=list, repr=False)
    size: int = 0


@dataclass(frozen=True, slots=True)
class HandInBody:
    """What a hand-in's body held: the JSON as it came, and the files with the main document first."""

    raw: bytes = field(repr=False)
    uploads: tuple[Upload, ...]


def announced_bytes(request: Request[Any, Any, Any], limits: UploadLimits) -> int:
    """How much memory this request's body may take.

    Raises:
        PayloadTooLarge: it says itself that it is too long; nothing of it was read.
        RequestMalformed: its Content-Length is no number.
    """
    header = request.headers.get("content-length")
    if header is None:
        return limits.body_bytes
    if not (header.isascii() and header.isdigit()):
        raise RequestMalformed("The Content-Length header is not a number.")
    if int(header) > limits.body_bytes:
        raise _too_large(limits)
    return int(header)


async def read_hand_in(
    request: Request[Any, Any, Any], limits: UploadLimits, *, part: str = DELIVERY, several: bool = False
) -> HandInBody:
    """Read the body of ``POST /v1/deliveries``, or of another call whose JSON is in the part of that name.

    ``several``: the part document may come more than once.

    Raises:
        MediaTypeUnsupported: not ``multipart/form-data``.
        RequestMalformed: not readable as that; or a part that is not expected, missing or there twice.
        PayloadTooLarge: the body or the part ``delivery`` is too long; reading stopped there.
        UploadTooSlow: the body did not come in time.
    """
    reader = _Reader(_boundary(request), limits, part, several=several)
    await _feed(request, limits, reader.feed)
    return reader.finished()


async def read_whole(request: Request[Any, Any, Any], limits: UploadLimits) -> bytes:
    """Read a body that is one document.

    Raises:
        PayloadTooLarge: it is too long; reading stopped there.
        RequestMalformed: it ended early, or says a length that is no number.
        UploadTooSlow: it did not come in time.
    """
    body = bytearray()

    def take(chunk: bytes) -> None:
        body.extend(chunk)
        if len(body) > limits.delivery_bytes:
            raise _too_large(limits)

    if request.headers.get("content-length") and announced_bytes(request, limits) > limits.delivery_bytes:
        raise _too_large(limits)
    await _feed(request, limits, take)
    return bytes(body)


async def _feed(request: Request[Any, Any, Any], limits: UploadLimits, take: Callable[[bytes], None]) -> None:
    """Give a body away piece by piece, within its time."""
    clock = asyncio.get_running_loop().time
    ends = clock() + limits.body_seconds
    try:
        async with asyncio.timeout(limits.chunk_seconds) as patience:
            async for chunk in request.stream():
                take(chunk)
                patience.reschedule(min(clock() + limits.chunk_seconds, ends))
    except TimeoutError:
        raise UploadTooSlow from None
    except InternalServerException:
        # The framework's word for a caller who hung up; nobody is left to answer.
        raise RequestMalformed("The request's body ended early.") from None


class _Reader:
    """Puts the parts together from the parser's events."""

    def __init__(self, boundary: str, limits: UploadLimits, json_part: str, *, several: bool) -> None:
        self._limits = limits
        self._json_part = json_part
        self._several = several
        self._received = 0
        self._parts: list[_Part] = []
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=_LONGEST_NAME + 256,
            max_header_count=6,
            max_segment_size=limits.delivery_bytes,
            max_segment_count=limits.documents + 1,
            # Its strict mode refuses the line end after the last boundary when that comes in a piece of its own.
            strict=False,
        )

    def feed(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received > self._limits.body_bytes:
            raise _too_large(self._limits)
        if chunk and not self._parser.closed:
            self._parsed(lambda: self._take(chunk))

    def finished(self) -> HandInBody:
        if not self._parser.closed:
            self._parsed(self._parser.close)
        names = (self._json_part, DOCUMENT, ATTACHMENT)
        by_name = {name: [part for part in self._parts if part.name == name] for name in names}
        errors = [
            FieldError(code=f"part_{problem}", detail=sentence, pointer=f"/{name}")
            for name in (self._json_part, DOCUMENT)
            for problem, sentence in _count_problem(len(by_name[name]), name)
            if not (self._several and name == DOCUMENT and by_name[name])
        ]
        if errors:
            raise RequestMalformed(
                f"A hand-in has one part {self._json_part}, one part document and any parts attachment.",
                code=errors[0].code,
                errors=errors,
            )
        uploads = [_upload(part, DOCUMENT) for part in by_name[DOCUMENT]]
        uploads += [_upload(part, ATTACHMENT) for part in by_name[ATTACHMENT]]
        return HandInBody(b"".join(by_name[self._json_part][0].pieces), tuple(uploads))

    def _parsed(self, act: Callable[[], None]) -> None:
        try:
            act()
        except ParserLimitReached as error:
            raise self._limit(error) from None
        except MultipartError:
            # The parser's text may quote what was sent.
            raise RequestMalformed(
                "The body can't be read as multipart/form-data.", code="multipart_malformed"
            ) from None

    def _take(self, chunk: bytes) -> None:
        for event in self._parser.parse(chunk):
            if isinstance(event, MultipartSegment):
                self._parts.append(_begin(event, self._limits, self._json_part))
            elif event:
                part = self._parts[-1]
                part.size += len(event)
                if part.size > part.most:
                    raise _too_large(self._limits)
                part.pieces.append(bytes(event))

    def _limit(self, error: ParserLimitReached) -> Exception:
        if "segment count" in str(error):
            return Invalid(f"A delivery has at most {self._limits.documents} documents.", code="too_many_documents")
        if "segment size" in str(error) or "larger than maximum segment" in str(error):
            return _too_large(self._limits)
        return RequestMalformed("A part of the body has headers that are too long.", code="multipart_malformed")


def _begin(segment: MultipartSegment, limits: UploadLimits, json_part: str) -> _Part:
    if segment.name not in (json_part, DOCUMENT, ATTACHMENT):
        raise RequestMalformed(
            f"A hand-in has parts named {json_part}, document and attachment only.",
            code="part_unknown",
        )
    most = JSON_BYTES if segment.name == json_part else limits.delivery_bytes
    return _Part(str(segment.name), (segment.filename or "")[:_LONGEST_NAME], most)


def _count_problem(count: int, name: str) -> list[tuple[str, str]]:
    if count == 1:
        return []
    return [("repeated", f"Send the part {name} once.") if count else ("missing", f"Send a part named {name}.")]


def _upload(part: _Part, role: str) -> Upload:
    content = b"".join(part.pieces)
    part.pieces.clear()  # so that two copies live for the length of one part only
    return Upload(role, part.filename or DEFAULT_NAME, content)


def _boundary(request: Request[Any, Any, Any]) -> str:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != MULTIPART:
        raise MediaTypeUnsupported("A hand-in is multipart/form-data with the parts delivery, document and attachment.")
    boundary = str(options.get("boundary", ""))
    if not boundary or len(boundary) > _LONGEST_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        raise RequestMalformed("The Content-Type header has no usable boundary.", code="multipart_malformed")
    return boundary


def _too_large(limits: UploadLimits) -> PayloadTooLarge:
    return PayloadTooLarge(f"A hand-in has at most {limits.delivery_bytes} bytes of documents.")
