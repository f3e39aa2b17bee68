"""Bodies of any length, taken in pieces that fit into memory: for the file of a submission."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from litestar import Request
from litestar.exceptions import InternalServerException

from service.domain.errors import PayloadTooLarge
from service.usecases.submission_files import PART_BYTES
from service.web.errors import RequestMalformed, UploadTooSlow

CHUNK_SECONDS: Final = 30.0
"""How long a body may be silent."""
PART_SECONDS: Final = 300.0
"""How long a whole piece may take: slower than some 28 kB a second is not waited for."""
MEMORY: Final = 3 * PART_BYTES
"""What is kept free for taking in a file; with copies on their way it holds twice that for a moment."""


def announced(request: Request[Any, Any, Any], *, most: int) -> int | None:
    """The body's length as its header says it, if it does.

    Raises:
        PayloadTooLarge: it says itself that it is too long; nothing of it was read.
        RequestMalformed: its Content-Length is no number.
    """
    header = request.headers.get("content-length")
    if header is None:
        return None
    if not (header.isascii() and header.isdigit()):
        raise RequestMalformed("The Content-Length header is not a number.")
    if int(header) > most:
        raise PayloadTooLarge(f"More bytes than the {most} that are still taken.")
    return int(header)


class Pieces:
    """A body in pieces of ``PART_BYTES``, the last one shorter.

    A body that ends early still gives what has come of it; ``broken`` then says why it ended.
    """

    def __init__(self, request: Request[Any, Any, Any]) -> None:
        self._request = request
        self.broken: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces."""
        held = bytearray()
        clock = asyncio.get_running_loop().time
        began = clock()
        stream = aiter(self._request.stream())
        while True:
            try:
                async with asyncio.timeout(max(0.001, min(CHUNK_SECONDS, began + PART_SECONDS - clock()))):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                break
            except TimeoutError:
                self.broken = UploadTooSlow()
                break
            except InternalServerException:
                # The framework's word for a caller who hung up; what has come is kept all the same.
                self.broken = RequestMalformed("The request's body ended early.")
                break
            held += chunk
            while len(held) >= PART_BYTES:
                with memoryview(held) as view:
                    piece = bytes(view[:PART_BYTES])
                del held[:PART_BYTES]
                yield piece
                began = clock()
        if held:
            yield bytes(held)
