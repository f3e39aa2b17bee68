"""Parts of a bundle: the explanation in four languages, the packing, and what counts as a document that is named."""

import io
import re
from hashlib import sha256
from zipfile import ZipFile

import pytest

from service.usecases.bundle import check
from service.usecases.bundle.packing import packed
from service.usecases.bundle.readme import readme
from service.usecases.evidence_page.wording import LANGUAGES

WORDS = {"nl": "Zo controleert u het", "fr": "Comment vérifier", "de": "So prüfen Sie es", "en": "How to check it"}


def text(language: str, *, documents: bool = True, pending: bool = False) -> str:
    made = readme(language, issuer="Zending (fictief)", delivery="dlv_1", documents=documents, pending=pending)
    return made.decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_explanation_is_whole_in_every_language(language: str) -> None:
    said = text(language)
    assert WORDS[language] in said
    assert "Zending (fictief)" in said
    assert "dlv_1" in said
    assert not re.search(r"[{}]", said)
    for command in ("python3 check.py\n", "sha256sum -c SHA256SUMS", "openssl ts -verify", "python3 verify.py"):
        assert command in said, command
    assert max(map(len, said.splitlines())) <= 96
    assert "pending/" not in said
    assert "documents/  " in said
    assert "pending/" in text(language, pending=True)
    assert "documents/  " not in text(language, documents=False)


def test_no_two_languages_say_the_same() -> None:
    for pick in (lambda lines: lines[0], lambda lines: lines[-1]):
        assert len({pick(text(language).splitlines()) for language in LANGUAGES}) == len(LANGUAGES)


def test_a_zip_is_the_same_bytes_each_time_and_comes_in_pieces() -> None:
    files = [("a.txt", b"a" * 1000), ("b/c.pdf", bytes(range(256)) * 40)]
    pieces = list(packed(files))
    assert b"".join(pieces) == b"".join(packed(files))
    assert len(pieces) == 3
    with ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert [archive.read(name) for name, _ in files] == [content for _, content in files]
        sums = archive.read("SHA256SUMS").decode().splitlines()
        assert sums == [f"{sha256(content).hexdigest()}  {name}" for name, content in files]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\r"])
def test_a_document_that_got_a_newer_time_stamp_is_still_the_one_that_is_named(ending: bytes) -> None:
    sealed = b"%PDF-1.7\n%%EOF\nmore %%EOF" + ending
    named = {sha256(sealed).hexdigest()}
    assert check.document(sealed, named) == (True, "the evidence names it by its SHA-256")
    ok, said = check.document(sealed + b"\n1 0 obj %%EOF\n", named)
    assert ok
    assert f"its first {len(sealed)} bytes" in said
    for other in (b" " + sealed, sealed.replace(b"more", b"less"), b"%PDF", b""):
        assert check.document(other, named) == (False, "no evidence names this document")
