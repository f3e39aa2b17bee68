"""Forms are read into memory within their limit, whatever a browser or somebody else sends."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Request

from service.domain.errors import PayloadTooLarge
from service.portal import forms
from service.portal.forms import Form
from service.web.errors import MediaTypeUnsupported, RequestMalformed, UploadTooSlow
from tests.api_support import boundary, multipart, multipart_headers

URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


class Sent:
    """A request, as far as reading its form goes."""

    def __init__(self, headers: dict[str, str], chunks: Iterable[bytes]) -> None:
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.chunks = list(chunks)
        self.read = 0

    async def stream(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.read += len(chunk)
            yield chunk


def read(headers: dict[str, str], *chunks: bytes, limit: int = 10_000) -> Form:
    return asyncio.run(forms.read(cast("Request[Any, Any, Any]", Sent(headers, chunks)), limit=limit))


def test_a_small_form_is_read() -> None:
    form = read(URLENCODED, b"name=An+Pee", b"ters&empty=&name=second&city=Li%C3%A8ge")
    assert form.text("name") == "An Peeters"
    assert form.texts["name"] == ["An Peeters", "second"]
    assert (form.text("empty"), form.text("missing"), form.text("city")) == ("", "", "Liège")


def test_a_form_with_files_is_read() -> None:
    body = multipart(
        ("subject", None, "Liège ✓".encode()),
        ("document", "bri\u00e9f.pdf", b"%PDF-1.7\r\n--not-the-boundary"),
        ("attachments", "", b""),
    )
    form = read(multipart_headers(), *(body[i : i + 7] for i in range(0, len(body), 7)))
    assert form.text("subject") == "Liège ✓"
    assert [(file.filename, file.content) for file in form.chosen("document")] == [
        ("bri\u00e9f.pdf", b"%PDF-1.7\r\n--not-the-boundary")
    ]
    assert form.chosen("attachments") == []
    assert form.chosen("others") == []


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.binary(max_size=200)), max_size=5), st.integers(1, 60))
def test_files_come_out_as_they_went_in(parts: list[tuple[str, bytes]], size: int) -> None:
    body = multipart(*((name, f"{number}.pdf", content) for number, (name, content) in enumerate(parts)))
    form = read(multipart_headers(), *(body[i : i + size] for i in range(0, len(body), size)))
    assert [file.content for name in ("a", "b") for file in form.chosen(name)] == [
        content for name in ("a", "b") for each, content in parts if each == name
    ]


def test_nothing_personal_shows_in_a_form_that_is_printed() -> None:
    form = read(multipart_headers(), multipart(("name", None, b"Peeters"), ("document", "Peeters.pdf", b"Peeters")))
    assert "Peeters" not in repr(form) + repr(form.files) + repr(form.chosen("document"))


def test_too_much_is_refused_though_nothing_announced_it() -> None:
    with pytest.raises(PayloadTooLarge):
        read(URLENCODED, b"a=" + b"x" * 600, b"x" * 600, limit=1000)


def test_far_too_much_is_refused_before_it_is_read() -> None:
    sent = Sent(URLENCODED | {"content-length": "50000"}, [b"x" * 50000])
    with pytest.raises(PayloadTooLarge):
        asyncio.run(forms.read(cast("Request[Any, Any, Any]", sent), limit=1000))
    assert sent.read == 0


def test_a_little_too_much_is_read_and_dropped_so_that_the_browser_shows_the_answer() -> None:
    sent = Sent(URLENCODED | {"content-length": "2000"}, [b"x" * 1000, b"x" * 1000])
    with pytest.raises(PayloadTooLarge):
        asyncio.run(forms.read(cast("Request[Any, Any, Any]", sent), limit=1000))
    assert sent.read == 2000


def test_a_body_that_never_ends_is_not_read_for_ever() -> None:
    sent = Sent(URLENCODED, [b"x" * 1000] * 100)
    with pytest.raises(PayloadTooLarge):
        asyncio.run(forms.read(cast("Request[Any, Any, Any]", sent), limit=1000))
    assert sent.read <= 6000


@pytest.mark.parametrize("announced", ["-1", "many", "1e9", "", "²"])
def test_a_length_that_is_no_number_is_refused(announced: str) -> None:
    with pytest.raises(PayloadTooLarge):
        read(URLENCODED | {"content-length": announced}, b"a=b")


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json", "multipart/form-data", "multipart/mixed; boundary=x"]
)
def test_what_is_no_form_is_refused(kind: str) -> None:
    with pytest.raises(MediaTypeUnsupported):
        read({"content-type": kind}, b"a=b")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (URLENCODED, b"name=\xff\xfe"),
        (URLENCODED, b"&".join(b"a=b" for _ in range(201))),
        (multipart_headers(), b"nonsense"),
        (multipart_headers(), multipart(("name", None, b"x"))[:-10]),
        (multipart_headers(), multipart(("name", None, b"\xff\xfe"))),
        (multipart_headers(), f"--{boundary()}\r\nContent-Disposition: nonsense\r\n\r\nx\r\n--{boundary()}--".encode()),
    ],
)
def test_what_can_not_be_read_is_refused(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(RequestMalformed):
        read(headers, body)


def test_a_form_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Sent):
        async def stream(self) -> AsyncIterator[bytes]:
            await asyncio.sleep(60)
            yield b""

    monkeypatch.setattr(forms, "SMALL_SECONDS", 0.01)
    with pytest.raises(UploadTooSlow):
        asyncio.run(forms.read(cast("Request[Any, Any, Any]", Slow(URLENCODED, [])), limit=1000))


@pytest.mark.parametrize(("announced", "taken"), [("7", 7), ("5000", 1000), ("-1", 1000), ("", 1000), ("²", 1000)])
def test_a_form_takes_the_memory_it_announces_within_its_limit(announced: str, taken: int) -> None:
    assert forms.announced_bytes({"content-length": announced}, 1000) == taken
    assert forms.announced_bytes({}, 1000) == 1000


def test_more_parts_than_any_form_of_ours_has_are_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        read(multipart_headers(), multipart(*[("a", None, b"b")] * 201), limit=100_000)
