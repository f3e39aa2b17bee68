import smtplib
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Invalid
from service.notifications.base import ActivationCode, Language, MailArrived, Notice, Result, checked_address
from service.notifications.smtp import MailServer, SmtpNotifier

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NOTICE = Notice("dlv_1/mailbox/notice/1", "an@example.test", Language.NL, MailArrived("Gemeente Voorbeeld"))


def _notifier(url: str = "smtp://127.0.0.1:1", sender: str = "Zending <no-reply@zending.test>") -> SmtpNotifier:
    return SmtpNotifier(url, sender, seconds_per_call=1)


def test_the_url_says_how_to_reach_the_server() -> None:
    server = MailServer.parse("smtps://us%40er:p%3Ass@mail.test?ca=/etc/ca.pem")
    assert (server.host, server.port, server.scheme) == ("mail.test", 465, "smtps")
    assert (server.user, server.password, server.ca_file) == ("us@er", "p:ss", "/etc/ca.pem")
    assert "p:ss" not in repr(server)
    assert MailServer.parse("smtp+starttls://mail.test").port == 587
    assert MailServer.parse("smtp://[::1]:2525") == MailServer("::1", 2525, "smtp")


@pytest.mark.parametrize(
    "url",
    [
        "mail.test:25",
        "http://mail.test",
        "smtp://",
        "smtps://user@mail.test",
        "smtp://user:secret@mail.test",
        "smtps://us%C3%ABr:secret@mail.test",
    ],
)
def test_a_url_that_is_wrong_or_unsafe_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"mail server|plain text") as refusal:
        MailServer.parse(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("sender", ["", "Zending", "Zending <no-reply>", "a@b.test\r\nBcc: c@d.test"])
def test_a_sender_that_is_no_address_is_refused_at_start(sender: str) -> None:
    with pytest.raises(ValueError, match="sender"):
        _notifier(sender=sender)


def test_a_message_says_who_when_and_that_a_machine_wrote_it() -> None:
    message = _notifier(sender="Zënding <no-reply@zending.test>").message(NOTICE, NOTICE.to, now=NOW)
    read = message_from_bytes(message.as_bytes(), policy=default)
    assert read["From"].addresses[0].display_name == "Zënding"
    assert read["To"] == "an@example.test"
    assert read["Date"].datetime == NOW
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["Content-Language"] == "nl"
    assert read.get_content_type() == "text/plain"
    assert read.get_content_charset() == "utf-8"
    assert message.as_bytes().isascii()


def test_the_same_notice_is_recognisably_the_same_message() -> None:
    other = Notice("dlv_1/mailbox/notice/2", NOTICE.to, NOTICE.language, NOTICE.what)
    ids = [_notifier().message(notice, notice.to, now=NOW)["Message-ID"] for notice in (NOTICE, NOTICE, other)]
    assert ids[0] == ids[1] != ids[2]
    assert "dlv_1" not in ids[0]
    assert ids[0].endswith("@zending.test>")


@given(st.text(), st.text(), st.sampled_from(Language))
def test_no_value_can_add_a_header(name: str, reference: str, language: Language) -> None:
    try:
        reference.encode()
    except UnicodeEncodeError:
        return
    notice = Notice(reference, NOTICE.to, language, MailArrived(name))
    read = message_from_bytes(_notifier().message(notice, NOTICE.to, now=NOW).as_bytes(), policy=default)
    usual = message_from_bytes(_notifier().message(NOTICE, NOTICE.to, now=NOW).as_bytes(), policy=default)
    assert [header.lower() for header in read] == [header.lower() for header in usual]
    assert read["To"] == NOTICE.to


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" an@Example.TEST ", "an@example.test"),
        ("An.Peeters+post@sub.example.test", "An.Peeters+post@sub.example.test"),
        ("an@bücher.test", "an@xn--bcher-kva.test"),
    ],
)
def test_an_address_is_kept_in_one_form(text: str, address: str) -> None:
    assert checked_address(text) == address
    assert checked_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "an",
        "@example.test",
        "an@",
        "an@localhost",
        "an@example..test",
        "an@-example.test",
        "an@[127.0.0.1]",
        '"an peeters"@example.test',
        "an peeters@example.test",
        "an@example.test\r\nBcc: eve@example.test",
        "an@example.test, eve@example.test",
        "an@example.test>",
        "an\x00@example.test",
        "é@example.test",
        ".an@example.test",
        "a" * 65 + "@example.test",
        "an@" + "a" * 64 + ".test",
        "an@" + "a." * 130 + "test",
    ],
)
def test_what_is_no_plain_address_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        checked_address(text)
    assert refusal.value.code == "email_invalid"
    assert "example" not in str(refusal.value)


def test_a_notice_to_no_address_is_final_and_costs_no_connection() -> None:
    notice = Notice("r", "an@example.test\r\nRCPT TO:<eve@example.test>", Language.EN, ActivationCode("012345"))
    outcome = _notifier().send_many([notice], now=NOW)[0]
    assert (outcome.reference, outcome.result, outcome.reason) == ("r", Result.REFUSED, "address_invalid")


def test_a_notice_shows_no_address() -> None:
    assert NOTICE.to not in repr(NOTICE)


class _Scripted(smtplib.SMTP):
    """A connection whose ``sendmail`` follows a script; what no real server can be made to do."""

    script: list[Exception | None] = []  # noqa: RUF012  set anew by each test
    opened = 0

    def __init__(self, *_: object, **__: object) -> None:
        type(self).opened += 1

    def sendmail(self, *_: object, **__: object) -> dict[str, tuple[int, bytes]]:
        step = self.script.pop(0)
        if step is not None:
            raise step
        return {}

    def quit(self) -> tuple[int, bytes]:
        raise smtplib.SMTPServerDisconnected("gone")

    def close(self) -> None:
        """Nothing is open."""


def _refused(code: int) -> smtplib.SMTPRecipientsRefused:
    return smtplib.SMTPRecipientsRefused({NOTICE.to: (code, b"text that quotes an@example.test")})


@pytest.mark.parametrize(
    ("script", "result", "reason", "status"),
    [
        ([None], Result.SENT, None, None),
        ([_refused(550)], Result.REFUSED, "mailbox_refused", 550),
        ([_refused(450)], Result.RETRYABLE, "try_later", 450),
        ([_refused(421)], Result.RETRYABLE, "try_later", 421),
        ([_refused(530)], Result.RETRYABLE, "login_refused", 530),
        ([smtplib.SMTPSenderRefused(550, b"", "x")], Result.RETRYABLE, "sender_refused", 550),
        ([smtplib.SMTPSenderRefused(421, b"", "x")], Result.RETRYABLE, "no_connection", None),
        ([smtplib.SMTPDataError(554, b"")], Result.REFUSED, "message_refused", 554),
        ([smtplib.SMTPDataError(452, b"")], Result.RETRYABLE, "try_later", 452),
        ([smtplib.SMTPServerDisconnected("x")], Result.RETRYABLE, "no_connection", None),
        ([TimeoutError()], Result.RETRYABLE, "no_connection", None),
    ],
)
def test_every_answer_of_a_server_has_its_outcome(
    monkeypatch: pytest.MonkeyPatch,
    script: list[Exception | None],
    result: Result,
    reason: str | None,
    status: int | None,
) -> None:
    monkeypatch.setattr(_Scripted, "script", list(script))
    monkeypatch.setattr(_Scripted, "opened", 0)
    monkeypatch.setattr("smtplib.SMTP", _Scripted)
    (outcome,) = _notifier().send_many([NOTICE], now=NOW)
    assert (outcome.result, outcome.reason, outcome.status) == (result, reason, status)
    assert _Scripted.opened == 1


@pytest.mark.parametrize("lost", [smtplib.SMTPServerDisconnected("x"), smtplib.SMTPSenderRefused(421, b"", "x")])
def test_a_kept_connection_that_was_closed_is_made_anew_for_the_next_notice(
    monkeypatch: pytest.MonkeyPatch, lost: Exception
) -> None:
    monkeypatch.setattr(_Scripted, "script", [None, lost, None, None])
    monkeypatch.setattr(_Scripted, "opened", 0)
    monkeypatch.setattr("smtplib.SMTP", _Scripted)
    outcomes = _notifier().send_many([NOTICE] * 3, now=NOW)
    assert {outcome.result for outcome in outcomes} == {Result.SENT}
    assert _Scripted.opened == 2


def test_a_connection_lost_twice_for_one_notice_leaves_it_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = [smtplib.SMTPServerDisconnected("x"), smtplib.SMTPServerDisconnected("x")]
    monkeypatch.setattr(_Scripted, "script", [None, *lost, None])
    monkeypatch.setattr("smtplib.SMTP", _Scripted)
    results = [outcome.result for outcome in _notifier().send_many([NOTICE] * 3, now=NOW)]
    assert results == [Result.SENT, Result.RETRYABLE, Result.SENT]


def test_a_chunk_out_of_time_leaves_the_rest_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Scripted, "script", [None])
    monkeypatch.setattr("smtplib.SMTP", _Scripted)
    clock = iter([0.0, 1.0, 61.0, 62.0])
    # Of this module alone: other threads of the run ask for the time too.
    monkeypatch.setattr("service.notifications.smtp.time", SimpleNamespace(monotonic=lambda: next(clock)))
    outcomes = _notifier().send_many([NOTICE] * 3, now=NOW)
    assert [outcome.reason for outcome in outcomes] == [None, "out_of_time", "out_of_time"]
