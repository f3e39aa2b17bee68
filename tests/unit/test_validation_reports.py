"""What is said of a check: for machines as JSON and by the standard, for people in one honest sentence."""

import ast
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree
from pyhanko.generated.etsi import ts_11910202
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig

import signing
from signing.report import Kind, Qualification, Report, SignatureReport, Verdict, as_json
from signing.validate import validate
from signing.validation.etsi import as_xml
from signing.validation.sentences import LANGUAGES, _words, sentence
from tests.longterm_support import SIGNED, house, judge, sign
from tests.signing_support import plain_pdf

VR = "{http://uri.etsi.org/19102/v1.2.1#}"
ARCHIVED = judge(sign("b-lta"))


NO_CODES = {"valid", "qualified_seal", "qualified_signature", "too_large", "check_", "untrusted", "timestamp_"}
"""Sentences that speak for no code, for many, or for codes of whoever runs the check."""


def entry(code: str | None, verdict: Verdict = Verdict.INDETERMINATE) -> SignatureReport:
    return SignatureReport("Seal1", Kind.SIGNATURE, Verdict.VALID if code is None else verdict, code)


def codes_in_the_sources() -> set[str]:
    """Every code that a report may hold, as the library's sources write it."""
    found = set()
    for file in (Path(signing.__file__).parent / "validate.py", *Path(signing.__file__).parent.glob("validation/*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    known = set(_words()["en"]) - NO_CODES
    return {text for text in found if text in known or text.startswith(("timestamp_", "untrusted_"))}


def test_the_languages_say_the_same() -> None:
    assert set(_words()) == set(LANGUAGES)
    keys = [set(words) for words in _words().values()]
    assert all(each == keys[0] for each in keys)
    for words in _words().values():
        assert len(set(words.values())) == len(words), "two codes with the same sentence"
        assert all(text.endswith(".") and len(text) < 200 for text in words.values())


def test_every_code_has_a_sentence_and_every_sentence_a_code() -> None:
    # pyHanko names that one.
    assert set(_words()["en"]) - NO_CODES - codes_in_the_sources() == {"untrusted_out_of_bounds_no_poe"}
    for code in codes_in_the_sources():
        for language in LANGUAGES:
            assert sentence(entry(code), language) != _words()[language]["check_"], code


def test_only_a_valid_document_is_said_to_be_unchanged_and_by_somebody_known() -> None:
    for language, words in _words().items():
        good = {words[key] for key in ("valid", "qualified_seal", "qualified_signature")}
        for code in (*codes_in_the_sources(), "untrusted_no_certificate_chain_found", "check_timeout", "something new"):
            assert sentence(entry(code), language) not in good
        assert sentence(entry(None), language) == words["valid"]


def test_a_code_is_spoken_for_by_the_nearest_sentence() -> None:
    assert sentence(entry("timestamp_imprint"), "en") == _words()["en"]["timestamp_"]
    assert sentence(entry("timestamp_expired"), "en") == _words()["en"]["timestamp_expired"]
    assert sentence(entry("untrusted_no_certificate_chain_found"), "nl") == _words()["nl"]["untrusted"]
    with pytest.raises(KeyError):
        sentence(entry(None), "xx")


def test_qualified_is_said_only_of_what_the_newest_signature_is() -> None:
    plain = replace(entry(None))
    sealed = replace(plain, qualification=Qualification.QUALIFIED_SEAL)
    stamp = replace(plain, kind=Kind.TIMESTAMP, qualification=Qualification.QUALIFIED_TIMESTAMP)
    words = _words()["en"]

    def said(*signatures: SignatureReport) -> str:
        return sentence(Report("00", Verdict.VALID, None, strict=True, signatures=signatures), "en")

    assert said(plain, sealed, stamp) == words["qualified_seal"]
    assert said(sealed, plain) == words["valid"]
    assert said(stamp) == words["valid"]


def test_json_says_everything_in_plain_values() -> None:
    said = json.loads(json.dumps(as_json(ARCHIVED)))
    assert said["verdict"] == "valid"
    assert said["at"] == "2024-06-04T10:00:00Z"
    first = said["signatures"][0]
    assert first["level"] == "B-LTA"
    assert first["time"] == "2024-06-03T10:00:00Z"
    assert set(first) == set(SignatureReport.__dataclass_fields__)


def parsed(xml: str) -> ts_11910202.ValidationReport:
    config = ParserConfig(fail_on_unknown_properties=True, fail_on_unknown_attributes=True)
    return XmlParser(config=config).from_string(xml, ts_11910202.ValidationReport)


def test_the_standards_report_says_the_same() -> None:
    xml = as_xml(ARCHIVED)
    assert len(parsed(xml).signature_validation_report) == 2
    root = etree.fromstring(xml.encode())
    assert root.tag == f"{VR}ValidationReport"
    indications = [each.text for each in root.iter(f"{VR}MainIndication")]
    assert indications == ["urn:etsi:019102:mainindication:total-passed"] * 2
    assert root.findtext(f".//{VR}BestSignatureTime/{VR}POETime").startswith("2024-06-03T10:00:00")
    assert not list(root.iter(f"{VR}SubIndication"))
    references = {each.get("VOReference") for each in root.iter(f"{VR}SignerCertificate")}
    assert references == {each.get("id") for each in root.iter(f"{VR}ValidationObject")}


@pytest.mark.parametrize(
    ("report", "main", "sub"),
    [
        (judge(sign("b-t"), of=house("strange ")), "indeterminate", "NO_CERTIFICATE_CHAIN_FOUND"),
        (judge(sign("b-b"), SIGNED + timedelta(days=1500)), "indeterminate", "OUT_OF_BOUNDS_NO_POE"),
        (judge(sign("b-t") + b"%more"), "indeterminate", "SIG_CONSTRAINTS_FAILURE"),
        (judge(sign("b-b").replace(b"ReportLab Gen", b"ReportLab gen")), "total-failed", "HASH_FAILURE"),
        (judge(sign("b-t"), require_revocation=True), "indeterminate", "TRY_LATER"),
    ],
)
def test_the_standards_report_names_the_nearest_indication_and_our_code(report: Report, main: str, sub: str) -> None:
    root = etree.fromstring(as_xml(report).encode())
    assert root.findtext(f".//{VR}MainIndication") == f"urn:etsi:019102:mainindication:{main}"
    found = [each.text for each in root.iter(f"{VR}SubIndication")]
    assert found == [f"urn:etsi:019102:subindication:{sub}", f"urn:zending:validation:{report.signatures[0].code}"]


def test_names_in_a_report_are_written_as_text() -> None:
    odd = replace(ARCHIVED.signatures[0], signer="<b>&amp;</b>", field='a"b')
    root = etree.fromstring(as_xml(replace(ARCHIVED, signatures=(odd,))).encode())
    assert root.findtext(f".//{VR}Signer") == "<b>&amp;</b>"


def test_there_is_no_report_of_the_standard_on_no_signature() -> None:
    with pytest.raises(ValueError, match="no signature"):
        as_xml(validate(plain_pdf(), trust_roots=(), at=SIGNED))


def test_the_standards_report_says_what_is_qualified_and_calls_the_unknown_generic() -> None:
    sealed = replace(ARCHIVED.signatures[0], qualification=Qualification.QUALIFIED_SEAL)
    odd = replace(sealed, verdict=Verdict.INDETERMINATE, code="timestamp_imprint", digest_algorithm="md5")
    root = etree.fromstring(as_xml(replace(ARCHIVED, signatures=(sealed, odd))).encode())
    assert root.findtext(f".//{VR}SignatureQualityInformation") == "urn:zending:qualification:qualified_seal"
    assert root.find(f".//{VR}SubIndication").text == "urn:etsi:019102:subindication:GENERIC"
    assert len(root.findall(f".//{VR}SignersDocument")) == 1
