import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from litestar import Request
from litestar.exceptions import InternalServerException

from service.api import uploads
from service.api.uploads import HandInBody, UploadLimits, UploadMemory
from service.domain.errors import Invalid, PayloadTooLarge, ZendingError
from service.web.errors import Busy, MediaTypeUnsupported, RequestMalformed, UploadTooSlow
from tests.api_support import multipart, multipart_headers

LIMITS = UploadLimits(delivery_bytes=10_000, documents=3)
JSON = b'{"reference": "r"}'
PDF = b"%PDF-1.7 \r\n--almost a boundary\r\n" + bytes(range(256))


class FakeRequest:
    """The two things the reader asks of a request."""

    def __init__(self, body: bytes, headers: dict[str, str] | None = None, *, size: int = 100) -> None:
        self.headers = multipart_headers() if headers is None else headers
        self.headers = {name.lower(): value for name, value in self.headers.items()}
        self.pieces = [body[at : at + size] for at in range(0, len(body), size)]
        self.taken = 0

    async def stream(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.taken += len(piece)
            yield piece
        yield b""


def as_request(fake: FakeRequest) -> Request[Any, Any, Any]:
    return cast("Request[Any, Any, Any]", fake)


def read(fake: FakeRequest, limits: UploadLimits = LIMITS) -> HandInBody:
    return asyncio.run(uploads.read_hand_in(as_request(fake), limits))


def refused(fake: FakeRequest, limits: UploadLimits = LIMITS) -> ZendingError:
    with pytest.raises(ZendingError) as caught:
        read(fake, limits)
    return caught.value


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_parts_are_the_same_however_the_body_is_cut(size: int) -> None:
    body = multipart(
        ("attachment", "a.pdf", b"one"),
        ("delivery", None, JSON),
        ("document", "Brief é.pdf", PDF),
        ("attachment", "b.pdf", b""),
    )
    found = read(FakeRequest(body, size=size))
    assert found.raw == JSON
    assert [(each.role, each.filename, each.content) for each in found.uploads] == [
        ("document", "Brief é.pdf", PDF),
        ("attachment", "a.pdf", b"one"),
        ("attachment", "b.pdf", b""),
    ]


def test_a_file_without_a_name_gets_one() -> None:
    found = read(FakeRequest(multipart(("delivery", None, JSON), ("document", None, PDF))))
    assert found.uploads[0].filename == "document.pdf"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((("document", "d.pdf", PDF),), "part_missing"),
        ((("delivery", None, JSON),), "part_missing"),
        ((("delivery", None, JSON), ("delivery", None, JSON), ("document", "d.pdf", PDF)), "part_repeated"),
        ((("delivery", None, JSON), ("document", "d.pdf", PDF), ("document", "d.pdf", PDF)), "part_repeated"),
        ((("delivery", None, JSON), ("document", "d.pdf", PDF), ("other", "d.pdf", PDF)), "part_unknown"),
        ((("", None, JSON),), "part_unknown"),
    ],
)
def test_exactly_the_expected_parts_are_taken(parts: tuple[tuple[str, str | None, bytes], ...], code: str) -> None:
    error = refused(FakeRequest(multipart(*parts)))
    assert isinstance(error, RequestMalformed)
    assert error.code == code


def test_a_missing_part_is_pointed_to() -> None:
    error = refused(FakeRequest(multipart(("attachment", "a.pdf", b"x"))))
    assert [field.pointer for field in error.errors] == ["/delivery", "/document"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing of the kind",
        multipart(("delivery", None, JSON), ("document", "d.pdf", PDF))[:-30],
        multipart(("delivery", None, JSON)).replace(b"form-data", b"mixed"),
        multipart(("delivery", None, JSON)).replace(b"Content-Disposition", b"Content Disposition"),
        multipart(("delivery", "x" * 5000, JSON)),
    ],
)
def test_what_is_no_multipart_body_is_refused_without_repeating_it(body: bytes) -> None:
    error = refused(FakeRequest(body))
    assert (type(error), error.code) == (RequestMalformed, "multipart_malformed")
    assert "xxxx" not in str(error)


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/mixed; boundary=b", "application/x-www-form-urlencoded"]
)
def test_another_media_type_is_refused_unread(kind: str) -> None:
    fake = FakeRequest(b"x" * 500, {"Content-Type": kind})
    assert isinstance(refused(fake), MediaTypeUnsupported)
    assert fake.taken == 0


@pytest.mark.parametrize("boundary", ["", '""', '"' + "x" * 71 + '"', '"é"'])
def test_a_boundary_must_be_usable(boundary: str) -> None:
    fake = FakeRequest(b"x", {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert refused(fake).code == "multipart_malformed"


def test_a_body_that_says_it_is_too_long_is_refused_unread() -> None:
    fake = FakeRequest(b"x", multipart_headers() | {"Content-Length": str(LIMITS.body_bytes + 1)})
    with pytest.raises(PayloadTooLarge):
        uploads.announced_bytes(as_request(fake), LIMITS)
    assert fake.taken == 0


@pytest.mark.parametrize("length", ["-1", "1e3", "", "٣", "0x10"])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    fake = FakeRequest(b"", multipart_headers() | {"Content-Length": length})
    with pytest.raises(RequestMalformed):
        uploads.announced_bytes(as_request(fake), LIMITS)


def test_a_body_that_does_not_say_its_length_counts_as_the_longest() -> None:
    assert uploads.announced_bytes(as_request(FakeRequest(b"")), LIMITS) == LIMITS.body_bytes


def test_a_body_that_grows_too_long_is_refused_before_it_was_read_whole() -> None:
    fake = FakeRequest(multipart(("delivery", None, JSON), ("document", "d.pdf", b"x" * 500_000)))
    assert isinstance(refused(fake), PayloadTooLarge)
    assert fake.taken <= LIMITS.body_bytes + 100


def test_a_file_beyond_the_limit_is_refused_at_the_limit() -> None:
    fake = FakeRequest(multipart(("document", "d.pdf", b"x" * 12_000), ("delivery", None, JSON)))
    assert isinstance(refused(fake), PayloadTooLarge)
    assert fake.taken <= LIMITS.delivery_bytes + 400


def test_the_json_has_a_bound_of_its_own() -> None:
    limits = UploadLimits(delivery_bytes=10**6, documents=3)
    fake = FakeRequest(multipart(("delivery", None, b" " * 100_000), ("document", "d.pdf", PDF)))
    assert isinstance(refused(fake, limits), PayloadTooLarge)
    assert fake.taken <= uploads.JSON_BYTES + 400


def test_too_many_parts_are_refused_at_the_first_too_many() -> None:
    parts = [("attachment", "a.pdf", b"x")] * 50
    fake = FakeRequest(multipart(("delivery", None, JSON), ("document", "d.pdf", b"x"), *parts))
    error = refused(fake)
    assert (type(error), error.code) == (Invalid, "too_many_documents")
    assert fake.taken < len(b"".join(fake.pieces)) / 2


def test_what_follows_the_last_boundary_is_not_kept() -> None:
    found = read(FakeRequest(multipart(("delivery", None, JSON), ("document", "d.pdf", PDF)) + b"\r\nepilogue" * 20))
    assert found.raw == JSON


def test_a_body_that_stops_coming_is_given_up() -> None:
    class Stuck(FakeRequest):
        async def stream(self) -> AsyncIterator[bytes]:
            yield b"--"
            await asyncio.sleep(3600)

    limits = UploadLimits(delivery_bytes=10_000, documents=3, chunk_seconds=0.02)
    assert isinstance(refused(Stuck(b""), limits), UploadTooSlow)


def test_a_body_that_only_drips_is_given_up() -> None:
    class Dripping(FakeRequest):
        async def stream(self) -> AsyncIterator[bytes]:
            for _ in range(10_000):
                yield b""
                await asyncio.sleep(0.005)

    limits = UploadLimits(delivery_bytes=10_000, documents=3, chunk_seconds=5.0, body_seconds=0.05)
    assert isinstance(refused(Dripping(b""), limits), UploadTooSlow)


def test_somebody_who_hangs_up_is_no_failure_of_ours() -> None:
    class Gone(FakeRequest):
        async def stream(self) -> AsyncIterator[bytes]:
            yield b"--"
            raise InternalServerException("client disconnected prematurely")

    assert isinstance(refused(Gone(b"")), RequestMalformed)


def test_uploads_wait_for_room_and_are_told_to_come_back_when_there_is_none() -> None:
    async def story() -> None:
        memory = UploadMemory(100, wait=0.02)
        async with memory.reserved(60, "tax"):
            async with memory.reserved(40, "tax"):
                assert memory.free == 0
                with pytest.raises(Busy):
                    async with memory.reserved(1, "tax"):
                        raise AssertionError
            async with memory.reserved(40, "tax"):
                pass
        assert memory.free == 100

    asyncio.run(story())


def test_room_that_is_given_back_goes_to_who_waits_also_after_a_failure() -> None:
    async def story() -> None:
        memory = UploadMemory(100, wait=30)
        order: list[str] = []

        async def first() -> None:
            async with memory.reserved(100, "tax"):
                order.append("first")
                await asyncio.sleep(0)
                raise RuntimeError

        async def second() -> None:
            async with memory.reserved(70, "tax"):
                order.append("second")

        await asyncio.gather(first(), second(), second(), return_exceptions=True)
        assert order == ["first", "second", "second"]
        assert memory.free == 100

    asyncio.run(story())


def test_one_upload_larger_than_all_room_still_fits_alone() -> None:
    async def story() -> None:
        memory = UploadMemory(100)
        async with memory.reserved(500, "tax"):
            assert memory.free == 0

    asyncio.run(story())


def test_somebody_who_goes_while_waiting_takes_no_room() -> None:
    async def story() -> None:
        memory = UploadMemory(100, wait=30)
        async with memory.reserved(100, "tax"):
            waiting = asyncio.create_task(memory.reserved(50, "tax").__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert memory.free == 100

    asyncio.run(story())


@pytest.fixture(autouse=True)
def _no_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a part of an upload reached a temporary file")

    monkeypatch.setattr("tempfile.TemporaryFile", never)
    monkeypatch.setattr("tempfile.SpooledTemporaryFile", never)
