"""``zending verify`` for PDFs: says what was found in words, and fails whenever it isn't good."""

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from service.cli.verify import _named
from service.cli.verify import verify as command
from signing.history import revision_digests
from tests.longterm_support import SIGNED, certify, house, renewed, sign
from tests.signing_support import plain_pdf
from tests.trusted_list_support import Service, list_xml, operator, qualified, signed_list

SOON = (SIGNED + timedelta(days=1)).isoformat()


def pem(file: Path, certificate: x509.Certificate) -> str:
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return str(file)


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ZENDING_HOME", str(tmp_path / "nothing"))
    monkeypatch.delenv("ZENDING_TRUST_ANCHOR", raising=False)
    return pem(tmp_path / "roots.pem", house().root.certificate)


def verify(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments])


def written(folder: Path, pdf: bytes, name: str = "letter.pdf") -> Path:
    file = folder / name
    file.write_bytes(pdf)
    return file


def test_a_valid_seal_is_told_in_full(tmp_path: Path, roots: str) -> None:
    result = verify("--trust", roots, "--at", SOON, written(tmp_path, sign("b-lta")))
    assert result.exit_code == 0, result.output
    for words in ("valid: This document has not been changed", "PAdES B-LTA", "no certificate was revoked", "existed"):
        assert words in result.output


@pytest.mark.parametrize("language", ["nl", "fr", "de", "en"])
def test_the_sentence_comes_in_four_languages(tmp_path: Path, roots: str, language: str) -> None:
    word = {"nl": "bestand", "fr": "fichier", "de": "Datei", "en": "file"}[language]
    result = verify("--trust", roots, "--language", language, written(tmp_path, b"%PDF-1.7 nothing"))
    assert result.exit_code == 1
    assert word in result.output


@pytest.mark.parametrize(
    ("pdf", "words"),
    [
        (sign("b-t") + b"more", "SOMETHING WAS CHANGED OR ADDED AFTER IT"),
        (sign("b-t", of=house("strange ")), "untrusted_no_certificate_chain_found"),
        (plain_pdf(), "there is no seal in this PDF"),
        (sign("b-b"), "claims 2"),
    ],
    ids=["changed", "unknown", "unsigned", "no time"],
)
def test_what_is_no_valid_seal_fails(tmp_path: Path, roots: str, pdf: bytes, words: str) -> None:
    result = verify("--trust", roots, "--at", SOON, written(tmp_path, pdf))
    assert result.exit_code == 1
    assert words in result.output


def test_qualified_is_said_by_a_list_only(tmp_path: Path, roots: str) -> None:
    file = written(tmp_path, sign("b-t", who=qualified()))
    assert "qualified electronic seal" not in verify("--trust", roots, "--at", SOON, file).output
    listed = tmp_path / "list.xml"
    listed.write_bytes(signed_list(list_xml(Service(house().issuing.certificate))))
    by = pem(tmp_path / "operator.pem", operator().certificate)
    result = verify("--trust", roots, "--list", listed, "--operator", by, "--at", SOON, file)
    assert result.exit_code == 0, result.output
    assert "a qualified electronic seal" in result.output
    other = pem(tmp_path / "other.pem", operator("stranger").certificate)
    for wrong in (("--list", listed), ("--list", listed, "--operator", other)):
        refused = verify("--trust", roots, *wrong, file)
        assert refused.exit_code == 2
        assert "--list" in refused.output


def test_revocation_may_be_demanded_and_own_seals_named(tmp_path: Path, roots: str) -> None:
    asked = ("--trust", roots, "--at", SOON)
    file = written(tmp_path, sign("b-t"))
    assert verify(*asked, file).exit_code == 0
    assert "revocation_unknown" in verify(*asked, "--revocation", file).output
    assert verify(*asked, "--revocation", written(tmp_path, sign("b-lt"), "long.pdf")).exit_code == 0
    second = certify("second", house().issuing, (2023, 2027))
    twice = written(tmp_path, sign("b-t", pdf=sign("b-t"), name="Second", who=second), "twice.pdf")
    own = pem(tmp_path / "own.pem", house().seal.certificate)
    assert verify(*asked, twice).exit_code == 0
    assert verify(*asked, "--own", own, twice).exit_code == 1


def test_time_passes(tmp_path: Path, roots: str) -> None:
    plain = written(tmp_path, sign("b-lta"))
    kept = written(tmp_path, renewed(sign("b-lta"), SIGNED.replace(year=2029)), "kept.pdf")
    assert verify("--trust", roots, "--at", "2035-01-01", plain).exit_code == 1
    assert verify("--trust", roots, "--at", "2035-01-01", kept).exit_code == 0
    assert verify("--trust", roots, "--at", "soon", plain).exit_code == 2


def test_whole_reports_are_printed_for_programs(tmp_path: Path, roots: str) -> None:
    file = written(tmp_path, sign("b-t"))
    result = verify("--trust", roots, "--at", SOON, "--report", "json", file)
    said = json.loads(result.output)
    assert (result.exit_code, said["verdict"], set(said["sentences"])) == (0, "valid", {"nl", "fr", "de", "en"})
    result = verify("--trust", roots, "--at", SOON, "--report", "xml", file)
    assert etree.fromstring(result.output.encode()).tag.endswith("ValidationReport")
    unsigned = verify("--trust", roots, "--report", "xml", written(tmp_path, plain_pdf(), "plain.pdf"))
    assert unsigned.exit_code == 1
    assert "no_signature" in unsigned.output
    rows = json.loads(verify("--trust", roots, "--at", SOON, "--json", file).output)
    assert rows[0]["check"] == "valid"


def test_a_list_of_roots_that_cannot_be_read_is_said(tmp_path: Path, roots: str) -> None:
    file = written(tmp_path, sign("b-t"))
    for option in ("--trust", "--own"):
        result = verify("--trust", roots, option, file, file)
        assert result.exit_code == 2
        assert option in result.output
    assert "give --trust" in verify(file).output


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_evidence_is_found_for_what_a_file_was_before_something_was_added(end: bytes) -> None:
    before = b"%PDF-1.7 sealed %%EOF" + end
    after = before + b"newer time-stamp\n%%EOF\n"
    records = {Path("e"): {"event": "SubmissionAcceptance", "parts": [{"sha256": hashlib.sha256(before).hexdigest()}]}}
    found = _named(revision_digests(after), records)
    assert found.ok
    assert "before what was added later" in found.detail
    assert "before" not in _named(revision_digests(before), records).detail
    assert _named(revision_digests(b"x" + after), records).ok is False
    assert _named(revision_digests(before[:-1]), records).ok is False
