"""A form that changes something comes from a page of ours, of the same session."""

import pytest

from service.web import csrf

BASE = "https://zending.example"


def test_a_proof_belongs_to_its_session_only() -> None:
    mine, other = csrf.new_secret(), csrf.new_secret()
    assert csrf.proves(mine, csrf.token(mine))
    assert not csrf.proves(other, csrf.token(mine))


def test_no_two_pages_hold_the_same_text() -> None:
    secret = csrf.new_secret()
    assert len({csrf.token(secret) for _ in range(50)}) == 50


@pytest.mark.parametrize("text", ["", "x", "====", "é", "a" * 86, "A" * 85, "A" * 87, "\x00", "x" * 84])
def test_nonsense_proves_nothing(text: str) -> None:
    assert not csrf.proves(b"\x01" * 32, text)


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"origin": BASE}, True),
        ({"origin": BASE, "sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"referer": f"{BASE}/letters/new"}, True),
        ({}, False),
        ({"origin": "null"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "https://zending.example.evil.example"}, False),
        ({"origin": "http://zending.example"}, False),
        ({"origin": "https://zending.example:444"}, False),
        ({"origin": BASE, "sec-fetch-site": "cross-site"}, False),
        ({"origin": BASE, "sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"referer": "https://evil.example/?https://zending.example"}, False),
        ({"referer": "https://[nonsense"}, False),
        ({"referer": ""}, False),
    ],
)
def test_only_what_the_browser_calls_ours_is_ours(headers: dict[str, str], ours: bool) -> None:  # noqa: FBT001
    assert csrf.comes_from_us(headers, BASE) is ours
