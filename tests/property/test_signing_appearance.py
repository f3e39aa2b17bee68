"""Visible seals whatever the names, codes and files: drawn, or refused with a code."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signing.appearance import LATIN, Appearance, InField, InRectangle
from signing.errors import Unsealable
from tests.appearance_support import ADDRESS, appearance, codes, described, page, prepared, seen
from tests.signing_support import plain_pdf
from tests.unit.test_signing_places import with_field

LOOK: Appearance = appearance(act="signed", characters=LATIN)
IN_FIELD: Appearance = appearance(place=InField("Handtekening", InRectangle((300, 20, 560, 90), 1)))
DOCUMENTS = Path(__file__).parents[1] / "documents"
FILES = [
    with_field(page()),
    (DOCUMENTS / "permit-nl-pdfa.pdf").read_bytes(),
    (DOCUMENTS / "letter-fr-chromium.pdf").read_bytes(),
]
WORDS = (
    b"/Kids", b"/Annots", b"/Rect", b"/Type", b"/StructTreeRoot", b"/ParentTree", b"/Nums", b"/K", b"/MediaBox",
    b"/Rotate", b"/AcroForm", b"/Fields", b"/Metadata", b"/Count", b"/Parent", b"/Pages", b"/S ", b"/P ", b"/Limits",
    b" 0 R", b"[", b"]", b"<<", b">>",
)  # fmt: skip
CODES = "ABCDEFGHJKMNPQRSTVWXYZ23456789-"
CHARACTERS = st.characters(exclude_categories=("Cs",))


@settings(max_examples=60, deadline=None)
@given(
    st.text(CHARACTERS, min_size=1, max_size=300), st.text("ABCDEFGHJKMNPQRSTVWXYZ23456789-", min_size=1, max_size=24)
)
def test_any_name_and_code_can_be_shown(name: str, code: str) -> None:
    done = prepared(plain_pdf(), LOOK, name=name, code=code)
    assert done.shown.variant is not None
    assert codes(seen(done.pdf)) == [ADDRESS.format(code=code)]
    assert code in described(done.pdf)


@st.composite
def harmed(draw: st.DrawFn) -> bytes:
    """A document with some of its words exchanged, and some bytes."""
    file = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 5))):
        word = draw(st.sampled_from(WORDS))
        places = [at for at in range(len(file)) if file.startswith(word, at)] if word in file else []
        if not places:
            continue
        at = draw(st.sampled_from(places))
        if draw(st.booleans()):
            file[at : at + len(word)] = draw(st.sampled_from(WORDS)).ljust(len(word))[: len(word)]
        elif at + len(word) + 12 < len(file):
            file[at + len(word) + draw(st.integers(0, 12))] = draw(st.sampled_from(b"0123456789[]<>/() R."))
    return bytes(file)


@pytest.fixture(autouse=True, scope="module")
def _quietly() -> Iterator[None]:
    """The reader complains of every harm."""
    reader = logging.getLogger("pyhanko")
    before = reader.level
    reader.setLevel(logging.CRITICAL)
    yield
    reader.setLevel(before)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(harmed())
def test_a_broken_file_is_sealed_or_refused_with_a_code(file: bytes) -> None:
    # Whatever else is raised would leave its job to be tried again and again.
    with contextlib.suppress(Unsealable):
        assert prepared(file, IN_FIELD).pdf.startswith(file)
