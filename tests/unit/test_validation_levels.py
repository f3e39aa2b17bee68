"""What a signature is worth years later: levels as proven, revocation as known, time as it still holds."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from signing.report import Kind, Level, Revocation, Verdict
from signing.validation.loop import run
from tests.attack_support import array, changed, dictionary, in_root, number
from tests.longterm_support import SIGNED, Identity, house, judge, renewed, sign, stamped, with_answers
from tests.signing_support import plain_pdf

SOON = SIGNED + timedelta(days=1)
CERTIFICATE_ENDED = datetime(2028, 3, 1, tzinfo=UTC)
AUTHORITY_ENDED = datetime(2033, 3, 1, tzinfo=UTC)
SUCCESSOR_ENDED = datetime(2047, 3, 1, tzinfo=UTC)


def moments(pdf: bytes, **more: object) -> list[tuple[Verdict, str | None]]:
    reports = [judge(pdf, at, **more) for at in (SOON, CERTIFICATE_ENDED, AUTHORITY_ENDED)]
    return [(report.signatures[0].verdict, report.signatures[0].code) for report in reports]


GOOD = (Verdict.VALID, None)


def test_without_a_time_stamp_a_signature_ends_with_its_certificate() -> None:
    pdf = sign("b-b")
    soon, ended, _ = moments(pdf)
    assert soon == GOOD
    assert ended == (Verdict.INDETERMINATE, "untrusted_out_of_bounds_no_poe")
    entry = judge(pdf, SOON).signatures[0]
    assert (entry.level, entry.revocation, entry.time) == (Level.B_B, Revocation.UNKNOWN, None)


@pytest.mark.parametrize("level", [Level.B_T, Level.B_LT])
def test_a_time_stamp_holds_as_long_as_its_authority(level: Level) -> None:
    pdf = sign(level.value.lower())
    assert moments(pdf) == [GOOD, GOOD, (Verdict.INDETERMINATE, "untrusted_out_of_bounds_no_poe")]
    entry = judge(pdf, CERTIFICATE_ENDED).signatures[0]
    assert (entry.level, entry.time) == (level, SIGNED)


def test_an_archive_time_stamp_that_is_not_renewed_ends_with_its_authority() -> None:
    pdf = sign("b-lta")
    assert moments(pdf)[:2] == [GOOD, GOOD]
    assert moments(pdf)[2][0] is Verdict.INDETERMINATE
    entry = judge(pdf, CERTIFICATE_ENDED).signatures[0]
    assert (entry.level, entry.revocation, entry.time) == (Level.B_LTA, Revocation.GOOD, SIGNED)


def test_an_archive_time_stamp_that_was_renewed_in_time_keeps_a_signature_valid() -> None:
    pdf = renewed(sign("b-lta"), datetime(2029, 6, 1, tzinfo=UTC))
    report = judge(pdf, AUTHORITY_ENDED, require_revocation=True)
    assert report.valid, report
    assert report.signatures[0].level is Level.B_LTA
    assert [entry.kind for entry in report.signatures] == [Kind.SIGNATURE, Kind.TIMESTAMP, Kind.TIMESTAMP]
    assert judge(pdf, SUCCESSOR_ENDED).verdict is Verdict.INDETERMINATE


def test_an_archive_time_stamp_that_was_renewed_too_late_proves_nothing_older() -> None:
    pdf = renewed(sign("b-lta"), datetime(2031, 6, 1, tzinfo=UTC))
    report = judge(pdf, AUTHORITY_ENDED)
    assert report.signatures[0].verdict is Verdict.INDETERMINATE
    assert report.signatures[1].code == "timestamp_expired"
    assert report.signatures[2].verdict is Verdict.VALID


@pytest.mark.parametrize(("level", "enough"), [("b-b", False), ("b-t", False), ("b-lt", True), ("b-lta", True)])
def test_where_revocation_must_be_known_only_long_term_signatures_are_valid(
    level: str,
    enough: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    report = judge(sign(level), require_revocation=True)
    assert report.valid is enough
    if not enough:
        assert report.code in {"revocation_unknown", "timestamp_revocation_unknown"}


def test_a_document_time_stamp_proves_a_time_as_well() -> None:
    pdf = stamped(sign("b-b"), SIGNED + timedelta(hours=1))
    entry = judge(pdf, CERTIFICATE_ENDED).signatures[0]
    assert (entry.verdict, entry.level) == (Verdict.VALID, Level.B_T)
    assert entry.time == SIGNED + timedelta(hours=1)


def test_a_level_is_not_what_the_file_has_but_what_it_proves() -> None:
    # Everything that B-LTA needs is there, by authorities that nobody here knows.
    entry = judge(sign("b-lta", of=house("strange "))).signatures[0]
    assert (entry.verdict, entry.level, entry.time) == (Verdict.INDETERMINATE, Level.B_B, None)


def test_weak_algorithms_and_keys_for_something_else_prove_nothing() -> None:
    assert not judge(sign("b-b", digest="sha1")).valid
    assert judge(sign("b-b", digest="sha512")).valid
    small = rsa.generate_private_key(65537, 1024)
    issuing = house().issuing
    for key, signing in ((small, True), (issuing.key, False)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd (fictional)")]))
            .issuer_name(issuing.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(SIGNED - timedelta(days=9))
            .not_valid_after(SIGNED + timedelta(days=9))
        )
        usage = x509.KeyUsage(signing, False, not signing, False, False, False, False, False, False)
        certificate = builder.add_extension(usage, critical=True).sign(issuing.key, SHA256())
        report = judge(sign("b-b", who=Identity(key, certificate)))
        assert not report.valid, report


# ------------------------------------------------------------------------------------------------------- revocation

BEFORE, AFTER = SIGNED - timedelta(days=9), SIGNED + timedelta(days=9)


@pytest.mark.parametrize("level", ["b-lt", "b-lta"])
def test_a_certificate_revoked_before_signing_makes_the_signature_invalid(level: str) -> None:
    of = house(seal=BEFORE)
    report = judge(with_answers(sign("b-t", of=of), of, SIGNED, archived=level == "b-lta"), of=of)
    assert (report.verdict, report.code) == (Verdict.INVALID, "revoked")
    assert report.signatures[0].revocation is Revocation.REVOKED


def test_a_certificate_revoked_after_signing_leaves_the_signature_valid() -> None:
    of = house(seal=AFTER)
    pdf = with_answers(sign("b-t", of=of), of, AFTER + timedelta(days=1))
    assert judge(pdf, AFTER + timedelta(days=2), of=of, require_revocation=True).valid


def test_without_a_proven_time_nobody_knows_which_came_first() -> None:
    of = house(seal=AFTER)
    pdf = with_answers(sign("b-b", of=of), of, AFTER + timedelta(days=1))
    report = judge(pdf, AFTER + timedelta(days=2), of=of)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "revoked_no_proof")


def test_a_revoked_issuer_and_a_revoked_authority_of_time_are_noticed() -> None:
    of = house(issuing=BEFORE)
    report = judge(with_answers(sign("b-t", of=of), of, SIGNED), of=of)
    assert (report.verdict, report.code) == (Verdict.INVALID, "revoked")
    of = house(tsa=BEFORE)
    report = judge(with_answers(sign("b-t", of=of), of, SIGNED), of=of)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "timestamp_revoked")


def test_one_answer_that_says_revoked_outweighs_one_that_says_good() -> None:
    of = house()
    good, bad = of.answer(SIGNED - timedelta(days=2)), of.answer(SIGNED - timedelta(hours=1), good=False)
    for answers in ([good, bad], [bad, good]):
        report = judge(with_answers(sign("b-t"), of, SIGNED, ocsps=answers))
        assert (report.verdict, report.code) == (Verdict.INVALID, "revoked"), answers
    assert judge(with_answers(sign("b-t"), of, SIGNED, ocsps=[good]), require_revocation=True).valid


def test_an_answer_that_had_ended_before_signing_tells_nothing() -> None:
    of = house()
    pdf = with_answers(sign("b-t"), of, SIGNED - timedelta(days=90))
    assert judge(pdf).valid
    assert judge(pdf).signatures[0].level is Level.B_T
    assert judge(pdf, require_revocation=True).code == "revocation_unknown"


def test_a_broken_store_proves_nothing_and_hides_no_signature() -> None:
    for broken in (array(number(1)), array(dictionary()), number(7)):
        pdf = sign(
            "b-t", pdf=changed(plain_pdf(), in_root("/DSS", dictionary(Certs=broken, OCSPs=broken, CRLs=broken)))
        )
        entry = judge(pdf).signatures[0]
        assert (entry.verdict, entry.level, entry.revocation) == (Verdict.VALID, Level.B_T, Revocation.UNKNOWN)


def test_a_check_waits_for_nothing_outside() -> None:
    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    async def a_moment() -> int:
        await asyncio.sleep(0.01)
        return 7

    assert run(a_moment()) == 7
    with pytest.raises(RuntimeError, match="nothing is fetched"):
        run(forever())
