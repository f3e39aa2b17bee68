"""Time-stamp tokens that are almost right: signed by the authority's own key, and still refused."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.signers import PdfTimeStamper
from pyhanko.sign.timestamps import TimeStamper

from signing.algorithms import Mechanism, signature_holds
from signing.errors import TimeStampInvalid
from signing.seal import Sealer
from signing.tokens import LARGEST_TOKEN, TokenVerifier, verify_token
from signing.validate import Changes, Kind, Verdict, validate
from tests.signing_support import InProcessAuthority, pki, plain_pdf, query, roots, seal_key, token_maker

DATA = b"a checkpoint"
DIGEST = hashlib.sha256(DATA).digest()
Signer = Any
"""A SignerInfo; asn1crypto brings no types."""


def altered(change: Callable[[cms.SignedData, Signer], None]) -> bytes:
    """An honest token, changed and signed again by the authority's own key."""
    token = cms.ContentInfo.load(InProcessAuthority().token(DIGEST)).copy()
    signed = token["content"]
    info = signed["signer_infos"][0]
    change(signed, info)
    key = load_pem_private_key(pki().tsa.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    info["signature"] = key.sign(b"\x31" + info["signed_attrs"].dump(force=True)[1:], ec.ECDSA(hashes.SHA256()))
    encoded: bytes = token.dump(force=True)
    return encoded


def certificate() -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(token_maker()._key.certificate.public_bytes(Encoding.DER))


def attributes(info: Signer, *, without: str, extra: tuple[str, object] | None = None) -> None:
    kept = [attribute for attribute in info["signed_attrs"] if attribute["type"].native != without]
    if extra:
        kept.append(cms.CMSAttribute({"type": extra[0], "values": [extra[1]]}))
    info["signed_attrs"] = cms.CMSAttributes(kept)


def reference(hashed: bytes) -> tsp.SigningCertificateV2:
    return tsp.SigningCertificateV2({"certs": [{"cert_hash": hashed}]})


def test_a_token_signed_again_is_still_good() -> None:
    assert verify_token(altered(lambda *_: None), DATA, roots()) <= datetime.now(UTC)


def test_the_first_kind_of_certificate_reference_is_accepted() -> None:
    first = tsp.SigningCertificate({"certs": [{"cert_hash": certificate().sha1}]})
    token = altered(
        lambda _, info: attributes(info, without="signing_certificate_v2", extra=("signing_certificate", first))
    )
    assert verify_token(token, DATA, roots()) <= datetime.now(UTC)


def test_a_certificate_reference_may_name_its_digest() -> None:
    named = tsp.SigningCertificateV2(
        {
            "certs": [
                {"hash_algorithm": {"algorithm": "sha512"}, "cert_hash": hashlib.sha512(certificate().dump()).digest()}
            ]
        }
    )
    token = altered(
        lambda _, info: attributes(info, without="signing_certificate_v2", extra=("signing_certificate_v2", named))
    )
    assert verify_token(token, DATA, roots()) <= datetime.now(UTC)


def second_signer(signed: cms.SignedData, info: Signer) -> None:
    signed["signer_infos"] = [info, info.copy()]


def without_certificates(signed: cms.SignedData, _: Signer) -> None:
    signed["certificates"] = []


def key_identifier(_: cms.SignedData, info: Signer) -> None:
    info["sid"] = cms.SignerIdentifier("subject_key_identifier", b"12345678")


def other_content_type(signed: cms.SignedData, _: Signer) -> None:
    signed["encap_content_info"] = {"content_type": "data", "content": b"x"}


WRONG: dict[str, tuple[Callable[[cms.SignedData, Signer], None], str]] = {
    "no certificate reference": (lambda _, info: attributes(info, without="signing_certificate_v2"), "attributes"),
    "reference to another certificate": (
        lambda _, info: attributes(
            info, without="signing_certificate_v2", extra=("signing_certificate_v2", reference(bytes(32)))
        ),
        "certificate",
    ),
    "no digest": (lambda _, info: attributes(info, without="message_digest"), "attributes"),
    "digest of something else": (
        lambda _, info: attributes(info, without="message_digest", extra=("message_digest", bytes(32))),
        "digest",
    ),
    "content type of something else": (
        lambda _, info: attributes(info, without="content_type", extra=("content_type", "data")),
        "attributes",
    ),
    "an attribute twice": (
        lambda _, info: attributes(info, without="none", extra=("message_digest", bytes(32))),
        "malformed",
    ),
    "two signers": (second_signer, "malformed"),
    "no certificates": (without_certificates, "certificate"),
    "signer named by its key": (key_identifier, "malformed"),
    "content of another kind": (other_content_type, "malformed"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_refused_and_named(wrong: str) -> None:
    change, reason = WRONG[wrong]
    with pytest.raises(TimeStampInvalid) as caught:
        verify_token(altered(change), DATA, roots())
    assert caught.value.reason == reason
    assert caught.value.context["reason"] == reason


def test_a_token_under_another_policy_is_refused() -> None:
    with pytest.raises(TimeStampInvalid) as caught:
        verify_token(InProcessAuthority().token(DIGEST), DATA, roots(), policy="1.2.3.4")
    assert caught.value.reason == "policy"


def test_a_token_of_another_version_is_refused() -> None:
    token = InProcessAuthority().token(DIGEST)
    with pytest.raises(TimeStampInvalid) as caught:
        verify_token(token.replace(b"\x02\x01\x01\x06", b"\x02\x01\x02\x06"), DATA, roots())
    assert caught.value.reason == "malformed"


def test_a_token_with_a_weak_digest_is_refused() -> None:
    def weak(_: cms.SignedData, info: Signer) -> None:
        info["digest_algorithm"] = {"algorithm": "sha1"}

    with pytest.raises(TimeStampInvalid) as caught:
        verify_token(altered(weak), DATA, roots())
    assert caught.value.reason == "malformed"


def test_what_is_no_signed_data_and_what_is_too_large_is_refused() -> None:
    plain = cms.ContentInfo({"content_type": "data", "content": b"x"}).dump()
    for content, reason in ((plain, "malformed"), (bytes(LARGEST_TOKEN + 1), "size")):
        with pytest.raises(TimeStampInvalid) as caught:
            verify_token(content, DATA, roots())
        assert caught.value.reason == reason


def test_a_verifier_remembers_and_forgets_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signing.tokens._REMEMBERED", 1)
    verifier = TokenVerifier(roots())
    honest, longer = InProcessAuthority().token(DIGEST), altered(lambda signed, _: with_root(signed))
    for token in (honest, longer, honest):
        verifier.check(token, algorithm="sha256", imprint=DIGEST)
        assert len(verifier._signers) == 1


def with_root(signed: cms.SignedData) -> None:
    root = asn1_x509.Certificate.load(roots()[0].public_bytes(Encoding.DER))
    signed["certificates"] = [*signed["certificates"], cms.CertificateChoices("certificate", root)]


@pytest.mark.parametrize(
    "mechanism", [b"\x30\x00", b"rubbish", Mechanism.ECDSA_SHA384.encoded, Mechanism.RSA_SHA256.encoded]
)
def test_an_algorithm_that_does_not_fit_the_key_or_the_digest_verifies_nothing(mechanism: bytes) -> None:
    key = seal_key()
    assert not signature_holds(key.certificate.public_key(), mechanism, "sha256", key.sign(DIGEST), DIGEST)


def test_rsa_signatures_are_verified_with_both_paddings() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    digested = hashlib.sha256(DATA).digest()
    hashed = {"algorithm": "sha256"}
    pss = cms.SignedDigestAlgorithm(
        {
            "algorithm": "rsassa_pss",
            "parameters": {
                "hash_algorithm": hashed,
                "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": hashed},
                "salt_length": 32,
            },
        }
    ).dump()
    plain = cms.SignedDigestAlgorithm({"algorithm": "rsassa_pkcs1v15"}).dump()
    by_pss = key.sign(DATA, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    by_plain = key.sign(DATA, padding.PKCS1v15(), hashes.SHA256())
    assert signature_holds(key.public_key(), pss, "sha256", by_pss, digested)
    assert signature_holds(key.public_key(), plain, "sha256", by_plain, digested)
    assert not signature_holds(key.public_key(), pss, "sha256", by_plain, digested)
    assert not signature_holds(key.public_key(), plain, "sha256", by_pss, digested)


class Direct(TimeStamper):
    """pyHanko's stamper over the demonstration's authority."""

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        return tsp.TimeStampResp.load(token_maker().respond(req.dump()))


def stamped_document() -> bytes:
    sealed = Sealer(seal_key(), InProcessAuthority()).seal(plain_pdf(), at=datetime.now(UTC))
    out = io.BytesIO()
    PdfTimeStamper(Direct()).timestamp_pdf(IncrementalPdfFileWriter(io.BytesIO(sealed)), "sha256", output=out)
    return out.getvalue()


def test_a_document_time_stamp_is_judged_and_leaves_the_seal_valid() -> None:
    report = validate(stamped_document(), trust_roots=roots(), at=datetime.now(UTC))
    assert report.valid
    assert [entry.kind for entry in report.signatures] == [Kind.SIGNATURE, Kind.TIMESTAMP]
    assert report.signatures[0].changes is Changes.ALLOWED
    assert report.signatures[1].time is not None


def test_a_document_time_stamp_over_something_else_is_invalid() -> None:
    changed = stamped_document().replace(b"ReportLab Generated", b"ReportLab generated")
    report = validate(changed, trust_roots=roots(), at=datetime.now(UTC))
    assert {entry.verdict for entry in report.signatures} == {Verdict.INVALID}


def test_a_document_time_stamp_under_another_root_is_indeterminate(tmp_path: Path) -> None:
    report = validate(stamped_document(), trust_roots=(), at=datetime.now(UTC))
    assert report.signatures[1].code == "timestamp_certificate_path"
    assert report.signatures[1].verdict is Verdict.INDETERMINATE


def test_an_imprint_of_another_algorithm_is_verified_under_it() -> None:
    asked = query(hashlib.sha512(DATA).digest(), algorithm="sha512")
    token = tsp.TimeStampResp.load(token_maker().respond(asked))["time_stamp_token"].dump()
    assert verify_token(token, DATA, roots()) <= datetime.now(UTC)
