"""Signatures in two phases: whatever is not exactly what was prepared, in time, by that key, is refused."""

import base64
import dataclasses
import io
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from hypothesis import given
from hypothesis import strategies as st
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner

from signing import webeid
from signing.algorithms import Mechanism
from signing.errors import (
    ChangesForbidden,
    KeyUnusable,
    PdfUnreadable,
    PreparationStale,
    RevocationUnavailable,
    SignatureRefused,
    TimeStampUnavailable,
)
from signing.prepared import LARGEST_UPDATE, Prepared, complete, prepare
from signing.seal import Sealer
from signing.validate import Coverage, Level, Verdict, validate
from tests.card_support import Card, issue
from tests.pyhanko_judge_support import kept_is_enough
from tests.signing_support import (
    InProcessAuthority,
    client,
    honest_server,
    judged_by_openssl,
    outside,
    pki,
    plain_pdf,
    revocation,
    roots,
    seal_key,
)

NOW = datetime.now(UTC)

PURPOSE = "sgr_1/1"
LASTS = timedelta(minutes=15)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-stamps carry the machine's time: what a test late in a long run makes is not of the module's loading."""
    monkeypatch.setitem(globals(), "NOW", datetime.now(UTC))


@cache
def card(kind: str = "p-384") -> Card:
    if kind == "pss":
        return dataclasses.replace(card("rsa-2048"), scheme="PSS")
    return issue(pki().folder, kind=kind)


def offered(holder: Card) -> list[webeid.Algorithm]:
    return [
        webeid.Algorithm(each["cryptoAlgorithm"], each["hashFunction"], each["paddingScheme"])
        for each in holder.signing_certificate()["supportedSignatureAlgorithms"]
    ]


def begun(holder: Card, pdf: bytes, **changes: object) -> Prepared:
    given = {"purpose": PURPOSE, "at": NOW, "lasts": LASTS, **changes}
    return prepare(pdf, holder.certificate, webeid.choose(holder.certificate, offered(holder)), **given)  # type: ignore[arg-type]


def by_card(holder: Card, prepared: Prepared) -> bytes:
    """The signature, by way of the browser."""
    wanted = webeid.hash_function(prepared.mechanism)
    said = holder.sign(base64.b64encode(prepared.to_sign).decode(), wanted)
    used = webeid.Algorithm(*said["signatureAlgorithm"].values())
    return webeid.signature(said["signature"], used, prepared.mechanism, holder.certificate)


def ended(pdf: bytes, prepared: Prepared, signature: bytes, **changes: object) -> bytes:
    given = {"purpose": PURPOSE, "at": NOW + timedelta(minutes=1), **changes}
    return complete(pdf, prepared, signature, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["p-384", "p-256", "rsa-2048", "rsa-3072", "pss"])
def test_a_signature_made_elsewhere_is_valid_and_survives_a_restart(kind: str) -> None:
    pdf, holder = plain_pdf(), card(kind)
    kept = begun(holder, pdf).to_bytes()
    prepared = Prepared.from_bytes(kept)
    signed = ended(pdf, prepared, by_card(holder, prepared), tsa=InProcessAuthority())
    assert signed.startswith(pdf)
    report = validate(signed, trust_roots=roots(), at=NOW)
    # The card alone came from the browser, so who issued it has to be known to whoever judges.
    assert report.last is not None
    assert report.last.intact
    assert report.last.coverage is Coverage.WHOLE_FILE
    assert report.last.level is Level.B_T
    assert report.last.claimed_time == NOW.replace(microsecond=0)


def test_with_its_issuers_it_is_trusted_and_others_agree(tmp_path: Path) -> None:
    pdf, holder = plain_pdf(), card()
    prepared = begun(holder, pdf, chain=seal_key().chain)
    signed = ended(pdf, prepared, by_card(holder, prepared), tsa=InProcessAuthority())
    assert validate(signed, trust_roots=roots(), at=NOW).verdict is Verdict.VALID
    file = tmp_path / "signed.pdf"
    file.write_bytes(signed)
    said = outside("pdfsig", "-nocert", file).stdout
    assert "Signature is Valid." in said
    assert "An Peeters" in said
    assert outside("qpdf", "--check", file).returncode == 0


@pytest.mark.parametrize("kind", ["p-384", "rsa-2048", "pss"])
def test_openssl_verifies_it(kind: str, tmp_path: Path) -> None:
    pdf, holder = plain_pdf(), card(kind)
    prepared = begun(holder, pdf, chain=seal_key().chain)
    judged_by_openssl(ended(pdf, prepared, by_card(holder, prepared), tsa=InProcessAuthority()), tmp_path)


def test_with_answers_about_revocation_it_is_good_for_long_and_others_ask_nobody() -> None:
    pdf, holder = plain_pdf(), card()
    with honest_server() as url, client(url) as tsa, revocation(url) as source:
        prepared = begun(holder, pdf, chain=seal_key().chain)
        signed = ended(pdf, prepared, by_card(holder, prepared), tsa=tsa, revocation=source)
    report = validate(signed, trust_roots=roots(), at=NOW)
    assert report.verdict is Verdict.VALID
    assert report.last is not None
    assert report.last.level is Level.B_LT
    assert kept_is_enough(signed, at=datetime.now(UTC) + timedelta(hours=1))


def test_without_answers_about_the_signer_nothing_leaves() -> None:
    pdf, holder = plain_pdf(), issue(pki().folder, fresh=True)
    prepared = begun(holder, pdf, chain=seal_key().chain)
    with revocation("http://127.0.0.1:9/") as dead, pytest.raises(RevocationUnavailable):
        ended(pdf, prepared, by_card(holder, prepared), tsa=InProcessAuthority(), revocation=dead)


def test_several_sign_one_after_the_other_and_a_seal_closes_it() -> None:
    pdf = plain_pdf()
    for kind in ("p-384", "rsa-2048"):
        prepared = begun(card(kind), pdf, chain=seal_key().chain)
        pdf = ended(pdf, prepared, by_card(card(kind), prepared), tsa=InProcessAuthority())
    report = validate(Sealer(seal_key(), InProcessAuthority()).seal(pdf, at=NOW), trust_roots=roots(), at=NOW)
    assert [each.verdict for each in report.signatures] == [Verdict.VALID] * 3


def test_what_is_kept_is_small_and_holds_no_document() -> None:
    kept = begun(card(), plain_pdf(pages=20)).to_bytes()
    assert len(kept) < 8_000
    assert b"Page 1" not in zlib.decompress(base64.b64decode(json.loads(kept)["update"]))


def refused(pdf: bytes, prepared: Prepared, signature: bytes, **changes: object) -> str:
    with pytest.raises(PreparationStale) as caught:
        ended(pdf, prepared, signature, **changes)
    return caught.value.reason


def test_another_document_is_refused_whatever_was_signed() -> None:
    mine, other = plain_pdf(), plain_pdf(pages=2)
    prepared = begun(card(), mine)
    assert refused(other, prepared, by_card(card(), prepared)) == "document"
    # Nor when what was kept was made to name it.
    swapped = dataclasses.replace(prepared, document_sha256=begun(card(), other).document_sha256)
    assert refused(other, swapped, by_card(card(), prepared)) in {"document", "malformed"}


def test_what_was_prepared_for_somebody_or_something_else_is_refused() -> None:
    pdf = plain_pdf()
    prepared = begun(card(), pdf)
    assert refused(pdf, prepared, by_card(card(), prepared), purpose="sgr_1/2") == "purpose"
    other = begun(issue(pki().folder, number="17073003384", fresh=True), pdf)
    with pytest.raises(SignatureRefused):
        ended(pdf, other, by_card(card(), prepared))


def test_it_ends_and_begins_at_its_time() -> None:
    pdf = plain_pdf()
    prepared = begun(card(), pdf)
    signature = by_card(card(), prepared)
    assert refused(pdf, prepared, signature, at=NOW + LASTS) == "expired"
    assert ended(pdf, prepared, signature, at=NOW + LASTS - timedelta(seconds=1))
    assert refused(pdf, prepared, signature, at=NOW - timedelta(days=1)) == "clock"
    assert ended(pdf, prepared, signature, at=NOW - timedelta(seconds=30))


def test_a_second_use_finds_another_document() -> None:
    pdf = plain_pdf()
    prepared = begun(card(), pdf)
    signature = by_card(card(), prepared)
    signed = ended(pdf, prepared, signature)
    assert refused(signed, prepared, signature) == "document"
    assert ended(pdf, prepared, signature) == signed


def test_a_certificate_that_ended_meanwhile_signs_nothing() -> None:
    brief = issue(pki().folder, ends=timedelta(minutes=5))
    pdf = plain_pdf()
    prepared = begun(brief, pdf)
    with pytest.raises(KeyUnusable):
        ended(pdf, prepared, by_card(brief, prepared), at=NOW + timedelta(minutes=10))
    with pytest.raises(KeyUnusable):
        begun(brief, pdf, at=NOW + timedelta(days=1))


def _other_hash(holder: Card, prepared: Prepared) -> bytes:
    assert isinstance(holder.key, ec.EllipticCurvePrivateKey)
    return holder.key.sign(prepared.to_sign[:32], ec.ECDSA(Prehashed(SHA256())))


def _over_the_document(holder: Card, prepared: Prepared) -> bytes:
    assert isinstance(holder.key, ec.EllipticCurvePrivateKey)
    return holder.key.sign(prepared.document_sha256 + bytes(16), ec.ECDSA(Prehashed(SHA384())))


@pytest.mark.parametrize(
    "lie",
    [
        lambda *_: b"",
        lambda holder, prepared: by_card(holder, prepared)[:-1],
        lambda holder, prepared: by_card(holder, prepared) + b"\0",
        lambda _, prepared: by_card(issue(pki().folder, fresh=True), prepared),
        lambda _, prepared: prepared.to_sign,
        _other_hash,
        _over_the_document,
    ],
)  # fmt: skip
def test_no_other_signature_is_taken(lie: Callable[[Card, Prepared], bytes]) -> None:
    pdf = plain_pdf()
    prepared = begun(card(), pdf)
    with pytest.raises(SignatureRefused):
        ended(pdf, prepared, lie(card(), prepared))


@given(st.data())
def test_no_flipped_bit_of_a_signature_is_taken(data: st.DataObject) -> None:
    pdf, prepared = _kept()
    signature = bytearray(_signature())
    place = data.draw(st.integers(0, len(signature) * 8 - 1))
    signature[place // 8] ^= 1 << place % 8
    with pytest.raises(SignatureRefused):
        ended(pdf, prepared, bytes(signature))


@cache
def _kept() -> tuple[bytes, Prepared]:
    pdf = plain_pdf()
    return pdf, begun(card(), pdf)


@cache
def _signature() -> bytes:
    return by_card(card(), _kept()[1])


@given(st.data())
def test_no_change_to_what_is_kept_leads_to_another_file(data: st.DataObject) -> None:
    """Whoever could change what is kept gets a refusal, or exactly what would have come anyway."""
    pdf, prepared = _kept()
    signature, kept = _signature(), bytearray(prepared.to_bytes())
    place = data.draw(st.integers(0, len(kept) * 8 - 1))
    kept[place // 8] ^= 1 << place % 8
    whole = ended(pdf, prepared, signature)
    try:
        made = ended(pdf, Prepared.from_bytes(bytes(kept)), signature)
    except (PreparationStale, SignatureRefused, KeyUnusable):
        return
    # Times may change unseen: whoever keeps it keeps it authenticated.
    assert len(made) == len(whole)
    assert validate(made, trust_roots=roots(), at=NOW).signatures[-1].intact


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_anything_else_is_nothing_prepared(kept: bytes) -> None:
    with pytest.raises(PreparationStale):
        Prepared.from_bytes(kept)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("purpose", 7),
        ("update", base64.b64encode(zlib.compress(bytes(LARGEST_UPDATE + 1))).decode()),
        ("update", base64.b64encode(zlib.compress(b"x") + b"more").decode()),
        ("prepared_at", "2026-11-28T12:00:00"),
        ("mechanism", "md5_rsa"),
        ("chain", None),
        ("start", "x"),
    ],
)
def test_what_is_kept_is_read_strictly(name: str, value: object) -> None:
    changed = json.loads(_kept()[1].to_bytes()) | {name: value}
    with pytest.raises(PreparationStale):
        Prepared.from_bytes(json.dumps(changed).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"start": 0},
        {"end": 10**9},
        {"certificate": b"no certificate"},
        {"to_sign": bytes(48)},
        {"mechanism": Mechanism.ECDSA_SHA256},
        {"update": b""},
    ],
)
def test_what_is_kept_is_believed_in_nothing(change: dict[str, object]) -> None:
    pdf, prepared = _kept()
    with pytest.raises(PreparationStale):
        ended(pdf, dataclasses.replace(prepared, **change), by_card(card(), prepared))  # type: ignore[arg-type]


def test_a_hole_with_something_in_it_is_refused() -> None:
    pdf, prepared = _kept()
    update = bytearray(prepared.update)
    update[prepared.start - len(pdf) + 5] = ord("1")
    assert refused(pdf, dataclasses.replace(prepared, update=bytes(update)), b"") == "malformed"


def test_without_a_time_nothing_leaves_and_the_same_answer_is_good_again() -> None:
    class Away(InProcessAuthority):
        def token(self, digest: bytes) -> bytes:
            raise TimeStampUnavailable(f"away, for {len(digest)} bytes too")

    pdf, prepared = _kept()
    signature = by_card(card(), prepared)
    with pytest.raises(TimeStampUnavailable):
        ended(pdf, prepared, signature, tsa=Away())
    assert ended(pdf, prepared, signature, tsa=InProcessAuthority())


def test_what_can_not_be_signed_is_said_at_once() -> None:
    with pytest.raises(PdfUnreadable):
        begun(card(), b"%PDF-1.7 not really")
    forbidden = PdfSigner(
        PdfSignatureMetadata(field_name="Author", certify=True, docmdp_permissions=MDPPerm.NO_CHANGES),
        SimpleSigner.load(*(str(each) for each in (pki().tsa.key, pki().tsa.certificate))),
    ).sign_pdf(IncrementalPdfFileWriter(io.BytesIO(plain_pdf())))
    with pytest.raises(ChangesForbidden):
        begun(card(), forbidden.getvalue())
