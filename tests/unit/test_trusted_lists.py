"""Trusted lists: believed only with their operator's signature, read for what they said at the moment that counts."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from lxml import etree

from signing.report import Kind, Level, Qualification, Report, Revocation, Verdict
from signing.trusted_lists import LARGEST_LIST, TrustedListRefused, TrustedLists, load_lists
from tests.longterm_support import SIGNED, house, judge, sign, stamped, with_answers
from tests.trusted_list_support import (
    CA_QC,
    DUE,
    GRANTED,
    NOW,
    QTST,
    WITHDRAWN,
    Service,
    for_kinds,
    list_xml,
    operator,
    pointer,
    qualified,
    qualifiers,
    signed_list,
)

HOUSE = house()
ISSUING, TSA = HOUSE.issuing.certificate, HOUSE.tsa.certificate


def loaded(*files: bytes, operators: tuple[x509.Certificate, ...] | None = None) -> TrustedLists:
    return load_lists(files, (operator().certificate,) if operators is None else operators, now=NOW)


def of_services(*services: Service, **more: object) -> TrustedLists:
    return loaded(signed_list(list_xml(*services, **more)))  # type: ignore[arg-type]


def sealed(**said: object) -> bytes:
    return sign("b-t", who=qualified(**said))


def outcome(report: Report) -> tuple[Qualification, str | None]:
    entry = report.signatures[0]
    return entry.qualification, entry.qualification_reason


# ------------------------------------------------------------------------------------------------- what is believed


def refused(*files: bytes, operators: tuple[x509.Certificate, ...] | None = None) -> str:
    with pytest.raises(TrustedListRefused) as caught:
        loaded(*files, operators=operators)
    return caught.value.reason


LIST = list_xml(Service(ISSUING))


def test_a_list_that_is_not_signed_is_refused() -> None:
    assert refused(LIST.encode()) == "unsigned"


def test_a_list_by_another_signer_is_refused() -> None:
    assert refused(signed_list(LIST, operator("stranger"))) == "signer"
    assert refused(signed_list(LIST), operators=()) == "signer"


@pytest.mark.parametrize(
    ("honest", "forged"),
    [
        (b"2016-07-01", b"2015-07-01"),
        (b"Svcstatus/granted", b"Svcstatus/grantedX"),
        (b"2030-11-01", b"2040-11-01"),
        (b"<SchemeTerritory>BE", b"<SchemeTerritory>FR"),
    ],
)
def test_a_list_that_was_changed_is_refused(honest: bytes, forged: bytes) -> None:
    good = signed_list(LIST)
    assert honest in good
    assert refused(good.replace(honest, forged)) == "signature"


def test_a_signed_list_inside_another_one_does_not_speak_for_it() -> None:
    evil = etree.fromstring(list_xml(Service(TSA)).encode())
    evil.append(etree.fromstring(signed_list(LIST)))
    assert refused(etree.tostring(evil)) == "unsigned"
    signature = etree.fromstring(signed_list(LIST)).find("{http://www.w3.org/2000/09/xmldsig#}Signature")
    evil.append(signature)
    assert refused(etree.tostring(evil)) == "signature"


def test_a_list_by_an_operator_whose_certificate_has_ended_is_refused() -> None:
    with pytest.raises(TrustedListRefused) as caught:
        load_lists([signed_list(LIST)], [operator().certificate], now=datetime(2033, 1, 1, tzinfo=UTC))
    assert caught.value.reason in {"signer", "signature"}


LAUGHS = (
    '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "malformed"),
        (b"<a/>", "malformed"),
        (b"\xff\xfe<\x00a\x00/\x00>\x00", "malformed"),
        (b"<TrustServiceStatusList", "malformed"),
        (b'<?xml version="1.0"?>' + LAUGHS.encode() + LIST.replace("fictional", "&c;").encode(), "doctype"),
        (b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + LIST.encode(), "doctype"),
        (b'<!DOCTYPE l SYSTEM "https://scheme.example/evil.dtd">' + LIST.encode(), "doctype"),
        (b" " * (LARGEST_LIST + 1), "size"),
        (("<a>" * 100_000).encode(), "malformed"),
    ],
    ids=["empty", "other", "other encoding", "cut", "laughs", "outside entity", "outside type", "huge", "deep"],
)
def test_what_is_no_list_is_refused(content: bytes, reason: str) -> None:
    assert refused(content) == reason


def test_a_signed_list_that_says_too_little_is_refused() -> None:
    assert refused(signed_list(LIST.replace("<TSLSequenceNumber>7", "<TSLSequenceNumber>x"))) == "content"


def test_a_list_of_lists_says_who_signs_the_others() -> None:
    national = operator("national")
    lists = list_xml(territory="EU", kind="EUlistofthelists", pointers=pointer("BE", national.certificate))
    files = [signed_list(LIST, national), signed_list(lists)]
    assert [each.territory for each in loaded(*files).lists] == ["BE"]
    # It speaks for the territory that it names, and only while it holds.
    elsewhere = signed_list(LIST.replace("<SchemeTerritory>BE", "<SchemeTerritory>FR"), national)
    assert refused(elsewhere, files[1]) == "signer"
    over = list_xml(
        territory="EU",
        kind="EUlistofthelists",
        pointers=pointer("BE", national.certificate),
        due=NOW - timedelta(days=1),
    )
    assert refused(files[0], signed_list(over)) == "signer"


# ------------------------------------------------------------------------------------------------------ what it says


def test_only_with_a_list_is_anything_called_qualified() -> None:
    report = judge(sealed())
    assert outcome(report) == (Qualification.UNKNOWN, "no_lists")
    assert outcome(judge(sealed(), lists=of_services(Service(ISSUING)))) == (Qualification.QUALIFIED_SEAL, None)


@pytest.mark.parametrize(
    ("said", "qualification", "reason"),
    [
        ({"kind": "signature"}, Qualification.QUALIFIED_SIGNATURE, None),
        # A certificate that names no kind is one for signatures (EN 319 412-5, 4.2.3).
        ({"kind": None}, Qualification.QUALIFIED_SIGNATURE, None),
        ({"kind": "web"}, Qualification.NOT_QUALIFIED, "certificate_for_something_else"),
        ({"device": False}, Qualification.QUALIFIED_CERTIFICATE, "no_qualified_device"),
        ({"compliant": False}, Qualification.NOT_QUALIFIED, "certificate_not_qualified"),
    ],
)
def test_the_certificate_says_what_it_is(
    said: dict[str, object], qualification: Qualification, reason: str | None
) -> None:
    assert outcome(judge(sealed(**said), lists=of_services(Service(ISSUING)))) == (qualification, reason)


@pytest.mark.parametrize(
    ("names", "said", "qualification"),
    [
        (["QCForESig"], {}, Qualification.QUALIFIED_SIGNATURE),
        (["QCForESeal"], {"kind": "signature"}, Qualification.QUALIFIED_SEAL),
        (["QCNoQSCD"], {}, Qualification.QUALIFIED_CERTIFICATE),
        (["QCWithQSCD"], {"device": False}, Qualification.QUALIFIED_SEAL),
        (["QCQSCDManagedOnBehalf"], {"device": False}, Qualification.QUALIFIED_SEAL),
        (["QCStatement", "QCForESeal", "QCWithQSCD"], {"compliant": False, "kind": None}, Qualification.QUALIFIED_SEAL),
        (["NotQualified"], {}, Qualification.NOT_QUALIFIED),
    ],
)
def test_the_list_knows_better_than_the_certificate(
    names: list[str], said: dict[str, object], qualification: Qualification
) -> None:
    lists = of_services(Service(ISSUING, extensions=qualifiers(*names)))
    assert outcome(judge(sealed(**said), lists=lists))[0] is qualification


def test_a_service_for_signatures_issues_no_qualified_seals() -> None:
    lists = of_services(Service(ISSUING, extensions=for_kinds("ForeSignatures")))
    assert outcome(judge(sealed(), lists=lists)) == (Qualification.NOT_QUALIFIED, "service_for_something_else")
    lists = of_services(Service(ISSUING, extensions=for_kinds("ForeSeals")))
    assert outcome(judge(sealed(), lists=lists)) == (Qualification.QUALIFIED_SEAL, None)


def test_nobody_is_qualified_whom_no_list_names() -> None:
    lists = of_services(Service(operator("elsewhere").certificate))
    assert outcome(judge(sealed(), lists=lists)) == (Qualification.NOT_QUALIFIED, "not_listed")


GRANTED_UNTIL_JUNE = Service(
    ISSUING, status=WITHDRAWN, since="2024-06-10T00:00:00Z", history=((GRANTED, "2016-07-01T00:00:00Z"),)
)
WITHDRAWN_BEFORE = Service(
    ISSUING, status=WITHDRAWN, since="2024-06-01T00:00:00Z", history=((GRANTED, "2016-07-01T00:00:00Z"),)
)
GRANTED_LATER = Service(
    ISSUING,
    since="2024-07-01T00:00:00Z",
    history=((WITHDRAWN, "2024-06-01T00:00:00Z"), (GRANTED, "2016-07-01T00:00:00Z")),
)
GRANTED_AFTER_ISSUE = Service(ISSUING, since="2024-03-01T00:00:00Z")


@pytest.mark.parametrize(
    ("service", "qualification", "reason"),
    [
        (GRANTED_UNTIL_JUNE, Qualification.QUALIFIED_SEAL, None),
        (WITHDRAWN_BEFORE, Qualification.NOT_QUALIFIED, "service_not_granted"),
        (GRANTED_LATER, Qualification.NOT_QUALIFIED, "service_not_granted"),
        (GRANTED_AFTER_ISSUE, Qualification.NOT_QUALIFIED, "not_granted_at_issue"),
    ],
)
def test_what_counts_is_the_service_when_it_was_signed(
    service: Service, qualification: Qualification, reason: str | None
) -> None:
    report = judge(sealed(), SIGNED + timedelta(days=60), lists=of_services(service))
    assert outcome(report) == (qualification, reason)


def test_a_list_whose_next_issue_is_due_says_nothing_any_more() -> None:
    due = SIGNED - timedelta(days=2)
    for lists in (of_services(Service(ISSUING), due=due), of_services(Service(ISSUING), due=None)):
        assert outcome(judge(sealed(), lists=lists)) == (Qualification.UNKNOWN, "lists_expired")
    fresh = of_services(Service(ISSUING))
    assert outcome(judge(sealed(), DUE + timedelta(days=1), lists=fresh))[0] is Qualification.UNKNOWN


def test_a_list_is_an_anchor_while_its_service_was_granted() -> None:
    lists = of_services(Service(ISSUING), Service(TSA, QTST))
    report = judge(sealed(), lists=lists, trust_roots=())
    assert report.valid, report
    assert report.signatures[0].time == SIGNED
    withdrawn = of_services(WITHDRAWN_BEFORE, Service(TSA, QTST))
    report = judge(sealed(), lists=withdrawn, trust_roots=())
    assert report.verdict is Verdict.INDETERMINATE
    # A service for time-stamps vouches for no signer, nor the other way round.
    crossed = of_services(Service(ISSUING, QTST), Service(TSA, CA_QC))
    report = judge(sealed(), lists=crossed, trust_roots=())
    assert report.verdict is Verdict.INDETERMINATE
    assert report.signatures[0].time is None


@pytest.mark.parametrize("roots", [(), HOUSE.roots])
def test_revocations_by_listed_services_are_noticed(roots: tuple[x509.Certificate, ...]) -> None:
    """A listed service is an anchor that another authority certified; its lists and responders speak all the same."""
    lists = of_services(Service(ISSUING), Service(TSA, QTST))
    report = judge(sign("b-lt"), lists=lists, trust_roots=roots)
    assert report.signatures[0].revocation is Revocation.GOOD
    assert report.signatures[0].level is Level.B_LT
    answered = with_answers(sign("b-t"), HOUSE, SIGNED - timedelta(days=90), ocsps=[HOUSE.answer(SIGNED)])
    assert judge(answered, lists=lists, trust_roots=roots).signatures[0].revocation is Revocation.GOOD
    revoked = house(seal=SIGNED - timedelta(days=9))
    theirs = of_services(Service(revoked.issuing.certificate), Service(revoked.tsa.certificate, QTST))
    report = judge(with_answers(sign("b-t", of=revoked), revoked, SIGNED), lists=theirs, trust_roots=roots)
    assert report.signatures[0].code == "revoked"
    later = house(seal=SIGNED + timedelta(days=9))
    theirs = of_services(Service(later.issuing.certificate), Service(later.tsa.certificate, QTST))
    pdf = with_answers(sign("b-t", of=later), later, SIGNED + timedelta(days=10))
    report = judge(pdf, SIGNED + timedelta(days=11), lists=theirs, trust_roots=roots)
    assert (report.valid, report.signatures[0].revocation) == (True, Revocation.GOOD)


def test_a_time_stamp_is_qualified_when_its_authority_was() -> None:
    pdf = stamped(sign("b-b"), SIGNED)
    lists = of_services(Service(TSA, QTST))
    for roots in (HOUSE.roots, ()):
        entry = judge(pdf, lists=lists, trust_roots=roots).signatures[1]
        assert (entry.kind, entry.qualification) == (Kind.TIMESTAMP, Qualification.QUALIFIED_TIMESTAMP)
    entry = judge(pdf, lists=of_services(Service(ISSUING))).signatures[1]
    assert (entry.qualification, entry.qualification_reason) == (Qualification.NOT_QUALIFIED, "not_listed")


def test_what_is_not_valid_is_never_called_qualified() -> None:
    pdf = sealed()
    lists = of_services(Service(ISSUING))
    for place in (30, len(pdf) - 30):
        changed = bytearray(pdf)
        changed[place] ^= 1
        report = judge(bytes(changed), lists=lists)
        assert not report.valid
        assert {entry.qualification for entry in report.signatures} <= {Qualification.UNKNOWN}
