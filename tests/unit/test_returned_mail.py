"""What returned mail says: a corpus in the manner of the servers that write it, and all that can be made of it."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.notifications import bounces
from service.notifications.bounces import Reading, Verdict, read

CORPUS = Path(__file__).parents[1] / "returned_mail"
ADDRESS = "bounces+token@zending.test"
# What each file is to be read as: the verdict, the status, whether the address itself is at fault.
EXPECTED: dict[str, tuple[Verdict, str | None, bool]] = {
    "postfix-no-such-user": (Verdict.FAILED, "5.1.1", True),
    "postfix-no-such-domain": (Verdict.FAILED, "5.4.4", True),
    "postfix-given-up": (Verdict.FAILED, "4.4.1", False),
    "postfix-unwanted": (Verdict.FAILED, "5.7.1", False),
    "postfix-delayed": (Verdict.DELAYED, None, False),
    "exchange-online-not-found": (Verdict.FAILED, "5.1.10", True),
    "exchange-mailbox-full": (Verdict.FAILED, "5.2.2", True),
    "exchange-no-such-domain": (Verdict.FAILED, "5.4.310", True),
    "exchange-delayed": (Verdict.DELAYED, None, False),
    "gmail-no-such-user": (Verdict.FAILED, "5.1.1", True),
    "gmail-delayed": (Verdict.DELAYED, None, False),
    "exim-report": (Verdict.FAILED, "5.0.0", False),
    "exim-plain": (Verdict.FAILED, None, False),
    "exim-warning": (Verdict.OTHER, None, False),
    "qmail-no-mailbox": (Verdict.FAILED, "5.1.1", True),
    "qmail-local": (Verdict.FAILED, "5.1.1", True),
    "qmail-given-up": (Verdict.FAILED, None, False),
    "sendmail-host-unknown": (Verdict.FAILED, "5.1.2", True),
    "sendmail-warning-plain": (Verdict.DELAYED, None, False),
    "yahoo-plain": (Verdict.FAILED, "5.1.1", True),
    "mdaemon-no-status": (Verdict.FAILED, None, False),
    "relay-footer": (Verdict.FAILED, "5.1.1", True),
    "international-report": (Verdict.FAILED, "5.1.1", True),
    "no-return-path": (Verdict.FAILED, "5.1.1", True),
    "code-in-words-only": (Verdict.FAILED, "5.2.2", True),
    "auto-outlook-away": (Verdict.OTHER, None, False),
    "auto-sieve-vacation": (Verdict.OTHER, None, False),
    "auto-postmaster-replies": (Verdict.OTHER, None, False),
    "auto-daemon-vacation": (Verdict.OTHER, None, False),
    "challenge": (Verdict.OTHER, None, False),
    "person-replies": (Verdict.OTHER, None, False),
    "person-forwards-a-report": (Verdict.OTHER, None, False),
    "read-receipt": (Verdict.OTHER, None, False),
    "complaint": (Verdict.OTHER, None, False),
    "report-of-success": (Verdict.OTHER, None, False),
    "report-relayed": (Verdict.OTHER, None, False),
    "report-partly": (Verdict.OTHER, None, False),
    "unclear-daemon": (Verdict.UNCLEAR, None, False),
    "unclear-contradiction": (Verdict.UNCLEAR, None, False),
    "unclear-empty-report": (Verdict.UNCLEAR, None, False),
    "delay-without-action": (Verdict.DELAYED, None, False),
}
ANSWERS = [name for name, (verdict, _, _) in EXPECTED.items() if verdict is Verdict.OTHER and "report" not in name]


def mail(name: str) -> bytes:
    return (CORPUS / f"{name}.eml").read_bytes().replace(b"@RETURN@", ADDRESS.encode())


def test_the_table_is_about_every_file_and_no_other() -> None:
    assert {file.stem for file in CORPUS.glob("*.eml")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_mail_is_read_as_what_it_is(name: str) -> None:
    reading = read(mail(name))
    assert (reading.verdict, reading.status, reading.is_the_address) == EXPECTED[name]
    assert any(ADDRESS in field for field in reading.to)


@pytest.mark.parametrize("name", EXPECTED)
def test_line_ends_of_the_wire_change_nothing(name: str) -> None:
    assert read(mail(name).replace(b"\n", b"\r\n")) == read(mail(name))


@pytest.mark.parametrize("name", [name for name, (verdict, _, _) in EXPECTED.items() if verdict is Verdict.FAILED])
def test_a_failure_without_its_report_is_believed_of_a_servers_own_account_only(name: str) -> None:
    """The words alone, from a person's address, are no failure."""
    head, _, body = mail(name).partition(b"\n\n")
    kept = [line for line in head.split(b"\n") if line.startswith((b"Return-Path", b"To:", b"Subject", b"Date"))]
    words = b"\n".join([*kept, b"From: An <an@voorbeeld.test>", b"", body])
    assert read(words).verdict is Verdict.OTHER


@pytest.mark.parametrize("status", ["5.1.1", "5.1.2", "5.1.10", "5.2.1", "5.2.2", "5.4.4", "5.4.310"])
def test_statuses_of_an_address(status: str) -> None:
    assert bounces.is_of_the_address(status)


@pytest.mark.parametrize("status", [None, "4.2.2", "5.0.0", "5.1.7", "5.1.8", "5.2.3", "5.4.7", "5.6.0", "5.7.1"])
def test_statuses_that_say_nothing_of_the_address(status: str | None) -> None:
    assert not bounces.is_of_the_address(status)


def test_only_the_beginning_of_a_mail_is_looked_at() -> None:
    assert read(mail("postfix-no-such-user") + b"x" * 10_000_000).status == "5.1.1"
    far = b"From: MAILER-DAEMON@x.test\nReturn-Path: <>\n\n" + b"x\n" * bounces.MOST_BYTES + b"550 5.1.1 no\n"
    assert read(far).verdict is Verdict.UNCLEAR


@pytest.mark.parametrize(
    "part",
    [
        b"Content-Type: message/rfc822\n\n",
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\n",
        b"Content-Type: multipart/mixed; BOUNDARY = a\n\n--a\n",
        b"Content-Type: message/partial\n\n",
    ],
)
def test_a_mail_within_a_mail_within_a_mail_exhausts_nobody(part: bytes) -> None:
    began = time.process_time()
    assert read(part * (bounces.MOST_BYTES // len(part))) == Reading(Verdict.UNREADABLE)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    "hostile",
    [
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n"
        b"Content-Type: message/delivery-status\n\n" + b"Action: failed\n\n" * 15_000,
        b"From: " + b"<" * 100_000 + b"\nTo: " + b"(" * 100_000,
        b"From: MAILER-DAEMON@x.test\nReturn-Path: <>\n\n" + b"550 " * 4000 + b"--" * 4000,
        b"A: b\n" * 40_000,
        b"Content-Type: text/plain; charset=nonsense\nContent-Transfer-Encoding: base64\n\n\xff\xfe" * 1000,
    ],
)
def test_long_mails_of_one_thing_take_no_time(hostile: bytes) -> None:
    began = time.process_time()
    read(hostile)
    assert time.process_time() - began < 2.0


@st.composite
def _mutated(draw: st.DrawFn, names: list[str]) -> bytes:
    """A mail of the corpus with lines dropped, doubled, swapped, cut and mixed with another's."""
    content = mail(draw(st.sampled_from(names))).split(b"\n")
    other = mail(draw(st.sampled_from(names))).split(b"\n")
    chance = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 12))):
        at = chance.randrange(len(content) + 1)
        match chance.randrange(6):
            case 0:
                del content[at : at + chance.randrange(1, 5)]
            case 1:
                content[at:at] = content[at : at + chance.randrange(1, 9)]
            case 2:
                content[at:at] = [other[chance.randrange(len(other))]]
            case 3:
                content[at:at] = [chance.randbytes(chance.randrange(1, 40))]
            case 4:
                content = content[: max(1, at)]
            case _:
                line = content.pop(at) if at < len(content) else b""
                cut = chance.randrange(len(line) + 1)
                content[at:at] = [line[:cut], line[cut:]]
    return b"\n".join(content)


LONG = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@LONG
@given(_mutated(list(EXPECTED)))
def test_nothing_that_comes_raises(raw: bytes) -> None:
    assert read(raw).verdict in Verdict


@LONG
@given(st.binary(max_size=2000))
def test_no_bytes_raise(raw: bytes) -> None:
    assert read(raw).verdict is not Verdict.FAILED


@LONG
@given(_mutated(ANSWERS))
def test_an_answer_of_a_program_or_person_never_becomes_a_failure(raw: bytes) -> None:
    """However it is mangled: none of them is a server's account with a permanent reply and no mark of an answer."""
    marked = b"\n".join([b"Auto-Submitted: auto-replied", raw])
    if b"message/delivery-status" not in raw.lower() and b"x-failed-recipients" not in raw.lower():
        assert read(marked).verdict is not Verdict.FAILED
