"""Document time-stamps that are renewed before they end."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pikepdf
import pytest
from cryptography import x509

from service.embedded.status import StatusMaker, revoke
from service.embedded.tsa import TokenMaker
from signing.errors import CertificateRevoked, PdfUnreadable, RevocationUnavailable, TimeStampUnavailable
from signing.keys import FileSealKey
from signing.renewal import Kept, NothingToKeep, RenewalTooLate, Renewer, holds_until
from signing.report import Level
from signing.revocation import OnlineRevocation
from signing.seal import Sealer
from signing.timestamps import LARGEST_STAMP, TimeStampAuthority
from signing.validate import validate
from tests.pyhanko_judge_support import kept_is_enough, ocsp_request, token_maker_certificates, verdict
from tests.signing_support import (
    ROOT,
    STAMPING,
    InProcessAuthority,
    client,
    honest_server,
    pki,
    plain_pdf,
    revocation,
    roots,
    seal_key,
    tsa_credential,
)

YEAR = timedelta(days=365)


def now() -> datetime:
    return datetime.now(UTC)


def sealed(level: Level, url: str) -> bytes:
    with revocation(url) as source:
        return Sealer(seal_key(), InProcessAuthority(), level=level, revocation=source).seal(plain_pdf(), at=now())


def renewed(pdf: bytes, source: OnlineRevocation, *, at: datetime | None = None) -> Kept:
    return Renewer(InProcessAuthority(), source, stamp_size=LARGEST_STAMP).renew(pdf, at=at or now())


@pytest.mark.parametrize("level", list(Level))
def test_any_seal_is_raised_to_the_level_that_lasts(level: Level) -> None:
    with honest_server() as url, revocation(url) as source:
        stamps = None if level is Level.B_B else InProcessAuthority()
        before = Sealer(seal_key(), stamps, level=level, revocation=source).seal(plain_pdf(), at=now())
        kept = renewed(before, source)
    assert kept.content.startswith(before), "what was there stays byte for byte"
    report = validate(kept.content, trust_roots=roots(), at=now())
    assert report.valid, report
    assert report.last is not None
    assert report.last.kind == "timestamp"
    assert kept_is_enough(kept.content, at=now() + timedelta(hours=1))
    assert now() + 10 * YEAR < kept.until <= now() + 12 * YEAR


def test_renewed_twice_it_outlives_the_first_authority(tmp_path_factory: pytest.TempPathFactory) -> None:
    # The first authority's certificate ends in five days; a second one takes over in time.
    brief = tsa_credential(tmp_path_factory.mktemp("tsa"), usage=STAMPING, days=5, status=True)
    with honest_server() as url, revocation(url) as source:
        maker = TokenMaker(brief)
        first = Sealer(seal_key(), InProcessAuthority(maker), level=Level.B_LTA, revocation=source)
        document = first.seal(plain_pdf(), at=now())
        kept = renewed(document, source)
    # The judge has, besides the document, only what the issuers say at that moment.
    for later in (now() + timedelta(days=30), now() + 11 * YEAR):
        status = StatusMaker(pki().folder, clock=lambda moment=later: moment)
        told = [status.respond(ocsp_request(*token_maker_certificates()))]
        lists = [status.revocation_list(name) or b"" for name in ("root", "issuing")]
        assert verdict(kept.content, at=later, known=told, lists=lists) == "PASSED"
        assert verdict(document, at=later, known=told, lists=lists) != "PASSED"


def test_what_has_ended_is_told_from_what_can_wait() -> None:
    with honest_server() as url, revocation(url) as source:
        document = sealed(Level.B_LTA, url)
        with pytest.raises(RenewalTooLate) as caught:
            renewed(document, source, at=now() + 13 * YEAR)
    assert not caught.value.retryable
    with pytest.raises(RevocationUnavailable):
        renewed(document, revocation("http://127.0.0.1:9/"))

    class Away:
        def token(self, _: bytes) -> bytes:
            raise TimeStampUnavailable("away")

    away: TimeStampAuthority = Away()
    with honest_server() as url, revocation(url) as source, pytest.raises(TimeStampUnavailable):
        Renewer(away, source, stamp_size=LARGEST_STAMP).renew(document, at=now())


def test_a_document_without_signatures_or_structure_is_refused() -> None:
    with honest_server() as url, revocation(url) as source:
        with pytest.raises(NothingToKeep):
            renewed(plain_pdf(), source)
        with pytest.raises(PdfUnreadable):
            renewed(b"%PDF-1.7 nothing", source)


def test_a_strangers_signature_is_covered_and_not_proven() -> None:
    foreign = (ROOT / "tests" / "documents" / "signed-nl.pdf").read_bytes()
    with honest_server() as url, revocation(url) as source:
        with pytest.raises(NothingToKeep):
            renewed(foreign, source)
        ours = Sealer(seal_key(), InProcessAuthority()).seal(foreign, at=now())
        kept = renewed(ours, source)
    report = validate(kept.content, trust_roots=roots(), at=now())
    assert [entry.verdict.value for entry in report.signatures[1:]] == ["valid", "valid"]


def test_a_certificate_that_was_revoked_after_it_sealed_keeps_nothing_from_being_renewed(tmp_path: Path) -> None:
    with honest_server() as url:
        before = sealed(Level.B_T, url)
    for file in pki().folder.glob("*.pem"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    revoke(tmp_path, seal_key().certificate, since=now() - timedelta(minutes=1))
    with honest_server(status=StatusMaker(tmp_path)) as url, revocation(url) as source:
        kept = renewed(before, source)
        unstamped = Sealer(seal_key(), None).seal(plain_pdf(), at=now())
        with pytest.raises(NothingToKeep):
            renewed(unstamped, source)
    assert kept.content.startswith(before)


def test_a_revoked_authority_renews_nothing(tmp_path: Path) -> None:
    with honest_server() as url:
        document = sealed(Level.B_LTA, url)
    for file in pki().folder.glob("*.pem"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    own = x509.load_pem_x509_certificate(pki().tsa.certificate.read_bytes())
    revoke(tmp_path, own, since=now() - timedelta(minutes=1))
    status = StatusMaker(tmp_path)
    with honest_server(status=status) as url, revocation(url) as source, pytest.raises(CertificateRevoked):
        renewed(document, source)


def test_an_algorithm_that_is_given_up_ends_a_time_stamp_too() -> None:
    token = InProcessAuthority().token(bytes(32))
    own = FileSealKey.from_pem(pki().tsa.key, pki().tsa.certificate, pki().tsa.chain).certificate
    assert holds_until(token) == own.not_valid_after_utc
    soon = now() + YEAR
    assert holds_until(token, {"sha256": soon}) == soon
    assert holds_until(token, {"sha512": soon}) == own.not_valid_after_utc


def test_nothing_is_stored_twice_by_many_renewals() -> None:
    with honest_server() as url, revocation(url) as source, client(url) as tsa:
        document = sealed(Level.B_LTA, url)
        once = Renewer(tsa, source, stamp_size=LARGEST_STAMP).renew(document, at=now()).content
        twice = Renewer(tsa, source, stamp_size=LARGEST_STAMP).renew(once, at=now()).content
    assert validate(twice, trust_roots=roots(), at=now()).valid
    with pikepdf.open(io.BytesIO(twice)) as opened:
        kept = [entry.read_bytes() for kind in ("/Certs", "/OCSPs", "/CRLs") for entry in opened.Root.DSS[kind]]
    assert len(kept) == len(set(kept))


def test_a_seal_says_until_when_it_is_good_by_itself() -> None:
    with honest_server() as url, revocation(url) as source:
        ends = {
            level: Sealer(seal_key(), InProcessAuthority() if level != "B-B" else None, level=level, revocation=source)
            .seal_to_keep(plain_pdf(), at=now())
            .until
            for level in Level
        }
    own = seal_key().certificate.not_valid_after_utc
    assert [ends[level] for level in (Level.B_B, Level.B_T, Level.B_LT)] == [own] * 3
    assert ends[Level.B_LTA] > own
