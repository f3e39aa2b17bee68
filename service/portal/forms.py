"""Forms as browsers send them, read into memory within a limit: nothing of them touches a disk."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import Request
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header

from service.domain.errors import PayloadTooLarge
from service.web.errors import MediaTypeUnsupported, RequestMalformed, UploadTooSlow

KIBIBYTE: Final = 1024
SMALL: Final = 64 * KIBIBYTE
"""Bytes of a form without files."""
MARGIN: Final = 256 * KIBIBYTE
"""Bytes of a form besides its files."""
SMALL_SECONDS: Final = 30.0
FILES_SECONDS: Final = 300.0
"""How long a form may take to arrive."""
# Twenty signers with all that is said of each, and room besides.
_MOST_PARTS: Final = 200
# A browser shows our answer only once it has sent its whole form; so a little too much is read and dropped.
_DROPPED_AT_MOST: Final = 4


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file that was chosen; browsers send an empty one without a name where none was."""

    filename: str = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Form:
    """What was filled in; nothing of it shows in ``repr``."""

    texts: dict[str, list[str]] = field(default_factory=dict, repr=False)
    files: dict[str, list[FormFile]] = field(default_factory=dict, repr=False)

    def text(self, name: str) -> str:
        """The first value of a field, trimmed; empty when there is none."""
        return self.texts.get(name, [""])[0].strip()

    def chosen(self, name: str) -> list[FormFile]:
        """The files that were really chosen in a field."""
        return [file for file in self.files.get(name, []) if file.filename or file.content]


async def read(request: Request[Any, Any, Any], *, limit: int) -> Form:
    """Read the body of a form.

    Args:
        request: whose body was not read yet.
        limit: most bytes of the body.

    Raises:
        PayloadTooLarge: it has more; what came was dropped.
        MediaTypeUnsupported: it is no form.
        RequestMalformed: it can't be read.
        UploadTooSlow: it did not come in time.
    """
    seconds = SMALL_SECONDS if limit <= SMALL else FILES_SECONDS
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, limit)
    except TimeoutError:
        raise UploadTooSlow(UploadTooSlow.sentence) from None


def announced_bytes(headers: Mapping[str, str], limit: int) -> int:
    """How much memory a form may take: what it says itself, or the most it may have."""
    announced = headers.get("content-length", "")
    return min(int(announced), limit) if announced.isdecimal() and announced.isascii() else limit


async def _read(request: Request[Any, Any, Any], limit: int) -> Form:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    chunks = _within(request, limit)
    if kind == "application/x-www-form-urlencoded":
        return _urlencoded(b"".join([chunk async for chunk in chunks]))
    if kind == "multipart/form-data" and options.get("boundary"):
        return await _multipart(chunks, options["boundary"])
    raise MediaTypeUnsupported(MediaTypeUnsupported.sentence)


async def _within(request: Request[Any, Any, Any], limit: int) -> AsyncIterator[bytes]:
    announced = request.headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdecimal()) or int(announced) > _DROPPED_AT_MOST * limit:
        raise _too_large()
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > _DROPPED_AT_MOST * limit:
            break
        if total <= limit and int(announced) <= limit:
            yield chunk
    if max(total, int(announced)) > limit:
        raise _too_large()


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge("The form is larger than this service takes.")


def _urlencoded(body: bytes) -> Form:
    form = Form()
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_PARTS)
    except ValueError:
        raise RequestMalformed(RequestMalformed.sentence) from None
    for name, value in pairs:
        form.texts.setdefault(name, []).append(value)
    return form


async def _multipart(chunks: AsyncIterator[bytes], boundary: str) -> Form:
    form = Form()
    segment: MultipartSegment | None = None
    content = bytearray()
    try:
        with PushMultipartParser(boundary, max_segment_count=_MOST_PARTS) as parser:
            async for chunk in chunks:
                for event in parser.parse(chunk):
                    if isinstance(event, MultipartSegment):
                        segment = event
                    elif event is not None:
                        content += event
                    elif segment is not None:
                        _keep(form, segment, bytes(content))
                        content.clear()
    except ParserLimitReached:
        raise _too_large() from None
    except (MultipartError, UnicodeDecodeError):
        raise RequestMalformed(RequestMalformed.sentence) from None
    return form


def _keep(form: Form, segment: MultipartSegment, content: bytes) -> None:
    name = segment.name or ""
    if segment.filename is None:
        form.texts.setdefault(name, []).append(content.decode("utf-8"))
    else:
        form.files.setdefault(name, []).append(FormFile(segment.filename, content))
