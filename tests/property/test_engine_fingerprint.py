"""What makes two hand-ins the same request."""

import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from service.usecases.admission import Upload
from service.usecases.hand_in import fingerprint

_KEYS = st.text(max_size=8)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(_KEYS, _VALUES, max_size=6)
UPLOADS = st.lists(
    st.builds(Upload, st.sampled_from(["document", "attachment"]), st.text(max_size=10), st.binary(max_size=20)),
    max_size=4,
)


def _turned(value: Any) -> Any:
    """The same value, with its keys the other way round."""
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(each) for each in value] if isinstance(value, list) else value


@given(body=BODIES, uploads=UPLOADS, indent=st.sampled_from([None, 1, "\t"]), escaped=st.booleans())
def test_order_of_keys_white_space_and_escapes_make_no_difference(
    body: dict[str, Any], uploads: list[Upload], indent: int | str | None, *, escaped: bool
) -> None:
    plain = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    other = json.dumps(_turned(body), indent=indent, ensure_ascii=escaped).encode()
    assert fingerprint(plain, uploads) == fingerprint(b" " + other + b"\n", uploads)


@given(BODIES, BODIES, UPLOADS)
def test_other_json_is_another_request(one: dict[str, Any], other: dict[str, Any], uploads: list[Upload]) -> None:
    assume(json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True))
    assert fingerprint(json.dumps(one).encode(), uploads) != fingerprint(json.dumps(other).encode(), uploads)


@given(BODIES, UPLOADS, UPLOADS)
def test_other_files_are_another_request(body: dict[str, Any], one: list[Upload], other: list[Upload]) -> None:
    raw = json.dumps(body).encode()
    assert (fingerprint(raw, one) == fingerprint(raw, other)) is (one == other)


@given(BODIES, UPLOADS, st.data())
def test_the_order_role_name_and_content_of_files_count(
    body: dict[str, Any], uploads: list[Upload], data: st.DataObject
) -> None:
    assume(uploads)
    raw = json.dumps(body).encode()
    at = data.draw(st.integers(0, len(uploads) - 1))
    each = uploads[at]
    changes = [
        Upload("attachment" if each.role == "document" else "document", each.filename, each.content),
        Upload(each.role, each.filename + "x", each.content),
        Upload(each.role, each.filename, each.content + b"x"),
    ]
    for change in changes:
        assert fingerprint(raw, [*uploads[:at], change, *uploads[at + 1 :]]) != fingerprint(raw, uploads)
    turned = uploads[::-1]
    assert (fingerprint(raw, turned) == fingerprint(raw, uploads)) is (turned == uploads)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_what_is_no_json_is_the_same_only_byte_for_byte(one: bytes, other: bytes) -> None:
    broken = [b"{" + one, b"{" + other]
    assert (fingerprint(broken[0], []) == fingerprint(broken[1], [])) is (one == other)
