"""Whatever is handed in: an answer or a refusal, and never a word of it in the refusal."""

import json
import unicodedata
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Invalid
from service.usecases import requests
from service.usecases.admission import NAME_BYTES, Upload, safe_name
from service.usecases.hand_in import fingerprint
from tests.domain_support import USUAL

_SECRET = "qX7secretZ9"
_TEXT = st.text(max_size=30)
_VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_NAMES = [field.name for field in msgspec.structs.fields(requests.DeliveryRequest)]


def _refusal(raw: bytes) -> Invalid | None:
    try:
        requests.checked(requests.read(raw), USUAL)
    except Invalid as error:
        return error
    return None


@given(st.dictionaries(st.sampled_from(_NAMES) | _TEXT, _VALUE | st.just(_SECRET), max_size=12))
def test_every_json_is_taken_or_refused_without_an_echo(value: dict[str, Any]) -> None:
    error = _refusal(json.dumps(value).encode())
    assert error is None or _SECRET not in f"{error} {error.errors} {error.context}"


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused_by_their_name(raw: bytes) -> None:
    fingerprint(raw, [])
    error = _refusal(raw)
    assert error is not None
    assert error.code == "delivery_malformed"


@given(st.text(alphabet=st.characters(), max_size=400))
def test_every_file_name_becomes_a_safe_one(name: str) -> None:
    safe = safe_name(name)
    assert safe.endswith(".pdf")
    assert len(safe.encode()) <= NAME_BYTES + len(".pdf")
    assert not set('/\\<>:"|?*;') & set(safe)
    assert all(unicodedata.category(character)[0] != "C" for character in safe)
    assert safe == safe.strip(" .")
    assert safe != ".pdf"
    assert safe_name(safe) == safe


@given(st.dictionaries(_TEXT, st.integers(-(2**53) + 1, 2**53 - 1) | _TEXT, max_size=5), st.text(), st.binary())
def test_requests_are_the_same_when_only_the_json_is_written_differently(
    value: dict[str, Any], name: str, content: bytes
) -> None:
    files = [Upload("document", name, content)]
    plain = fingerprint(json.dumps(value).encode(), files)
    turned = dict(reversed(value.items()))
    assert fingerprint(json.dumps(turned, indent=2, ensure_ascii=False).encode(), files) == plain
    assert fingerprint(json.dumps(value).encode(), [Upload("attachment", name, content)]) != plain
    assert fingerprint(json.dumps(value).encode(), [Upload("document", name, content + b"x")]) != plain
    assert fingerprint(json.dumps(value | {"": "more"}).encode(), files) != plain or value.get("") == "more"
