"""Levels B-B to B-LTA, and documents that are too large for memory, held against judges that are not ours."""

import io
import re
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pikepdf
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from service.embedded.pki import Algorithm, ensure_pki
from service.embedded.status import StatusMaker, revoke
from signing.errors import (
    CertificateRevoked,
    CertificateUntrusted,
    RevocationUnavailable,
    SealCheckFailed,
    TimeStampUnavailable,
)
from signing.report import Level
from signing.seal import Sealer
from signing.trust import load_certificates
from signing.validate import validate
from tests.pyhanko_judge_support import kept_is_enough, ocsp_request, token_maker_certificates, verdict
from tests.signing_support import (
    InProcessAuthority,
    client,
    honest_server,
    outside,
    pki,
    plain_pdf,
    revocation,
    roots,
    sample_documents,
    seal_key,
)

LEVELS = list(Level)
LONG_TERM = [Level.B_LT, Level.B_LTA]


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def sealing(level: Level, algorithm: Algorithm = "p-256") -> Iterator[Sealer]:
    with honest_server() as url, client(url) as tsa, revocation(url) as source:
        stamps = None if level is Level.B_B else tsa
        yield Sealer(seal_key(algorithm), stamps, level=level, revocation=source)


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> Level:
    chosen: Level = request.param
    return chosen


@pytest.mark.parametrize("algorithm", ["p-256", "rsa-3072"])
def test_every_level_stands_before_other_judges(level: Level, algorithm: Algorithm, tmp_path: Path) -> None:
    with sealing(level, algorithm) as sealer:
        assert sealer.level is level
        for number, document in enumerate(sample_documents()[:4] if algorithm == "p-256" else sample_documents()[:1]):
            original = document.read_bytes()
            sealed = sealer.seal(original, at=now())
            assert sealed.startswith(original)
            assert validate(sealed, trust_roots=roots(), at=now()).last is not None
            file = tmp_path / f"{number}.pdf"
            file.write_bytes(sealed)
            checked = outside("qpdf", "--check", file)
            assert checked.returncode == 0, (document.name, checked.stdout)
            seen = outside("pdfsig", "-nocert", file).stdout
            assert "Signature is Valid" in seen, (document.name, seen)
            assert "Invalid" not in seen


def test_every_level_is_valid_to_ours_and_to_openssl(level: Level, tmp_path: Path) -> None:
    with sealing(level) as sealer:
        sealed = sealer.seal(plain_pdf(), at=now())
    report = validate(sealed, trust_roots=roots(), at=now())
    assert report.valid, report
    reader = PdfFileReader(io.BytesIO(sealed))
    _, _, field = next(iter(enumerate_sig_fields(reader, filled_status=True)))
    embedded = EmbeddedPdfSignature(reader, field.get_object(), "Seal1")
    first, size, second, rest = map(int, embedded.byte_range)
    (tmp_path / "content").write_bytes(sealed[first : first + size] + sealed[second : second + rest])
    (tmp_path / "seal.cms").write_bytes(embedded.pkcs7_content)
    verified = outside(
        "openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", tmp_path / "seal.cms",
        "-content", tmp_path / "content", "-CAfile", pki().trust_anchor, "-purpose", "any", "-out", tmp_path / "out",
    )  # fmt: skip
    assert "Verification successful" in verified.stderr + verified.stdout, verified.stderr


@pytest.mark.parametrize("chosen", LONG_TERM)
def test_what_is_kept_is_judged_without_asking_anybody(chosen: Level) -> None:
    with sealing(chosen) as sealer:
        sealed = sealer.seal(plain_pdf(), at=now())
    assert kept_is_enough(sealed, at=now() + timedelta(hours=1))
    assert not kept_is_enough(sealed, at=now() + timedelta(hours=13)), "answers age, and this judge asks nobody"


def test_only_an_archived_seal_outlives_its_certificate() -> None:
    later = now() + timedelta(days=11 * 365)
    assert seal_key().certificate.not_valid_after_utc < later
    with sealing(Level.B_LTA) as sealer, sealing(Level.B_LT) as shorter:
        kept, unkept = (one.seal(plain_pdf(), at=now()) for one in (sealer, shorter))
    # The authority's own certificate is good for another year: that is what its issuer says then.
    status = StatusMaker(pki().folder, clock=lambda: later)
    told = [status.respond(ocsp_request(*token_maker_certificates()))]
    lists = [status.revocation_list("root") or b""]
    assert verdict(kept, at=later, known=told, lists=lists) == "PASSED"
    assert verdict(unkept, at=later) != "PASSED"


def test_below_long_term_nothing_is_kept_and_nobody_is_needed() -> None:
    with sealing(Level.B_T) as sealer:
        assert b"/DSS" not in sealer.seal(plain_pdf(), at=now())
    dead = revocation("http://127.0.0.1:9/")
    assert Sealer(seal_key(), InProcessAuthority(), revocation=dead).seal(plain_pdf(), at=now())
    with pytest.raises(RevocationUnavailable):
        Sealer(seal_key(), InProcessAuthority(), level=Level.B_LT, revocation=dead).seal(plain_pdf(), at=now())


def test_below_long_term_nobody_needs_to_believe_the_seals_root(tmp_path: Path) -> None:
    strangers = load_certificates(ensure_pki(tmp_path).trust_anchor)
    with honest_server() as url, revocation(url, trust_roots=strangers) as source:
        assert Sealer(seal_key(), InProcessAuthority(), revocation=source).seal(plain_pdf(), at=now())
        with pytest.raises(CertificateUntrusted) as caught:
            Sealer(seal_key(), InProcessAuthority(), level=Level.B_LT, revocation=source).seal(plain_pdf(), at=now())
    assert caught.value.code == "key_unusable"


@pytest.mark.parametrize("chosen", [Level.B_B, Level.B_T, Level.B_LTA])
def test_a_revoked_key_seals_at_no_level(chosen: Level, tmp_path: Path) -> None:
    for file in pki().folder.glob("*.pem"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    revoke(tmp_path, seal_key().certificate, since=now() - timedelta(days=1))
    with honest_server(status=StatusMaker(tmp_path)) as url, revocation(url) as source:
        stamps = None if chosen is Level.B_B else InProcessAuthority()
        with pytest.raises(CertificateRevoked):
            Sealer(seal_key(), stamps, level=chosen, revocation=source).seal(plain_pdf(), at=now())


def test_a_level_needs_those_who_make_it() -> None:
    with pytest.raises(ValueError, match="time-stamp"):
        Sealer(seal_key(), None, level=Level.B_T)
    with pytest.raises(ValueError, match="revocation"):
        Sealer(seal_key(), InProcessAuthority(), level=Level.B_LT)


def test_two_seals_share_what_they_carry() -> None:
    with sealing(Level.B_LTA) as sealer:
        once = sealer.seal(plain_pdf(), at=now())
        twice = sealer.seal(once, at=now())
    assert validate(twice, trust_roots=roots(), at=now()).valid
    with pikepdf.open(io.BytesIO(twice)) as opened:
        store = opened.Root.DSS
        kept = [entry.read_bytes() for kind in ("/Certs", "/OCSPs") for entry in store[kind]]
    assert len(kept) == len(set(kept)), "nothing stands there twice"


class OneToken:
    """Gives the first time-stamp only: the archive's is missing."""

    def __init__(self) -> None:
        self.given = 0

    def token(self, digest: bytes) -> bytes:
        self.given += 1
        if self.given > 1:
            raise TimeStampUnavailable("away")
        return InProcessAuthority().token(digest)


def test_a_level_that_is_not_reached_gives_no_document() -> None:
    with honest_server() as url, revocation(url) as source, pytest.raises(TimeStampUnavailable):
        Sealer(seal_key(), OneToken(), level=Level.B_LTA, revocation=source).seal(plain_pdf(), at=now())


def test_a_sample_of_what_is_made_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[bytes] = []
    sealer = Sealer(seal_key(), None, sample=judged.append, sample_every=3)
    made = [sealer.seal(plain_pdf(), at=now()) for _ in range(7)]
    assert judged == [made[0], made[3], made[6]]

    def finds_fault(_: bytes) -> None:
        raise SealCheckFailed("not valid")

    with pytest.raises(SealCheckFailed):
        Sealer(seal_key(), None, sample=finds_fault, sample_every=1).seal(plain_pdf(), at=now())


@pytest.mark.parametrize("chosen", [Level.B_T, Level.B_LTA])
def test_files_are_sealed_as_what_is_in_memory_is(chosen: Level, tmp_path: Path) -> None:
    document = sample_documents()[0]
    with sealing(chosen) as sealer, document.open("rb") as source, (tmp_path / "out.pdf").open("w+b") as target:
        sealer.seal_file(source, target, at=now())
    sealed = (tmp_path / "out.pdf").read_bytes()
    assert sealed.startswith(document.read_bytes())
    report = validate(sealed, trust_roots=roots(), at=now())
    assert report.last is not None
    assert all(entry.verdict == "valid" for entry in report.signatures if not entry.field.startswith("Sig"))


def test_a_large_file_is_sealed_in_little_memory(tmp_path: Path) -> None:
    large = tmp_path / "large.pdf"
    with pikepdf.new() as made:
        for _ in range(200):
            page = made.add_blank_page()
            page.Contents = pikepdf.Stream(made, bytes(100_000))
        made.save(large, compress_streams=False)
    assert large.stat().st_size > 20_000_000
    sealer = Sealer(seal_key(), None)
    sealer.seal(plain_pdf(), at=now())
    tracemalloc.start()
    with large.open("rb") as source, (tmp_path / "sealed.pdf").open("w+b") as target:
        sealer.seal_file(source, target, at=now())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4_000_000, "what is held doesn't grow with the file"
    assert re.search(rb"/ByteRange \[0 2\d{7} ", (tmp_path / "sealed.pdf").read_bytes()[-40_000:])


def test_a_file_that_was_spoilt_on_its_way_never_counts() -> None:
    class Spoils(io.BytesIO):
        def write(self, data: object) -> int:
            return super().write(bytes(data).replace(b"\n", b"\r", 1))  # type: ignore[call-overload]

    with pytest.raises(SealCheckFailed):
        Sealer(seal_key(), None).seal_file(io.BytesIO(plain_pdf()), Spoils(), at=now())
