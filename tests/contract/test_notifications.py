"""What every notifier must do, held against SMTP with a real server in each of its three ways to encrypt."""

import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.notifications.base import (
    About,
    ActivationCode,
    Language,
    MailArrived,
    Notice,
    NoticeKind,
    Notifier,
    Outcome,
    Result,
)
from service.notifications.envelopes import Envelopes
from service.notifications.smtp import SmtpNotifier
from tests.identity_support import free_port, wait_for_port

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SENDER = "Zending <no-reply@zending.test>"
LOGIN = "zending:fict%3Aonal"
WAYS = ("smtp", "smtp+starttls", "smtps")


@dataclass(frozen=True)
class Post:
    """A notifier and the folder where its messages arrive."""

    notifier: Notifier
    folder: Path
    url: str

    def send(self, *notices: Notice) -> list[Outcome]:
        return self.notifier.send_many(notices, now=NOW)

    def arrived(self) -> list[EmailMessage]:
        files = sorted(self.folder.glob("*.eml"))
        return [message_from_bytes(file.read_bytes(), policy=default) for file in files]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail sink of the tests")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture(scope="module", params=WAYS)
def sink(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[tuple[str, Path]]:
    folder, port, way = tmp_path_factory.mktemp("mail"), free_port(), str(request.param)
    command = [sys.executable, "-m", "service.embedded.mail", "--port", str(port), "--folder", str(folder)]
    url = f"smtp://127.0.0.1:{port}"
    if way != "smtp":
        command += ["--certificate", str(certificate[0]), "--key", str(certificate[1]), "--login", "zending:fict:onal"]
        command += ["--tls-at-once"] if way == "smtps" else []
        url = f"{way}://{LOGIN}@127.0.0.1:{port}?ca={certificate[0]}"
    process = subprocess.Popen(command)
    try:
        wait_for_port(port, process)
        yield url, folder
    finally:
        process.terminate()
        assert process.wait(20) == 0


@pytest.fixture
def post(sink: tuple[str, Path]) -> Post:
    url, folder = sink
    for file in folder.iterdir():
        file.unlink()
    return Post(SmtpNotifier(url, SENDER, seconds_per_call=5), folder, url)


def _notice(number: int = 1, to: str | None = None, what: MailArrived | ActivationCode | None = None) -> Notice:
    return Notice(f"dlv_{number}/notice", to or f"an{number}@example.test", Language.FR, what or MailArrived("Commune"))


def test_what_is_sent_has_arrived_whole(post: Post) -> None:
    assert post.send(_notice()) == [Outcome("dlv_1/notice", Result.SENT)]
    (message,) = post.arrived()
    assert message["To"] == "an1@example.test"
    assert message["Delivered-To"] == "an1@example.test"
    assert message["Return-Path"] == "<no-reply@zending.test>"
    assert "Un document officiel de Commune est arrivé" in message.get_content()


def test_outcomes_stand_in_the_order_given_and_one_failure_leaves_the_others_alone(post: Post) -> None:
    outcomes = post.send(
        _notice(1),
        _notice(2, "bounce@example.test"),
        _notice(3),
        _notice(4, "later@example.test"),
        _notice(5, "no address"),
        _notice(6, "spam@example.test"),
        _notice(7),
    )
    assert [(outcome.reference, outcome.result, outcome.reason) for outcome in outcomes] == [
        ("dlv_1/notice", Result.SENT, None),
        ("dlv_2/notice", Result.REFUSED, "mailbox_refused"),
        ("dlv_3/notice", Result.SENT, None),
        ("dlv_4/notice", Result.RETRYABLE, "try_later"),
        ("dlv_5/notice", Result.REFUSED, "address_invalid"),
        ("dlv_6/notice", Result.REFUSED, "message_refused"),
        ("dlv_7/notice", Result.SENT, None),
    ]
    # What the server says of the address itself, in its code and never in its words.
    assert [outcome.enhanced for outcome in outcomes] == [None, "5.1.1", None, None, None, "5.6.0", None]
    assert {message["To"] for message in post.arrived()} == {f"an{number}@example.test" for number in (1, 3, 7)}


def test_a_repeated_notice_is_the_same_message(post: Post) -> None:
    post.send(_notice(1), _notice(2))
    post.send(_notice(1))
    ids = [message["Message-ID"] for message in post.arrived()]
    assert len(ids) == 3
    assert len(set(ids)) == 2


def test_a_notice_leaves_with_an_envelope_that_names_it_and_the_message_stays_as_it_is(post: Post) -> None:
    envelopes = Envelopes("bounces@zending.test", [bytes(32)])
    named = SmtpNotifier(post.url, SENDER, envelopes=envelopes, seconds_per_call=5)
    about = [About(NoticeKind.ARRIVED, uuid4(), 1), About(NoticeKind.ARRIVED, uuid4(), 1), None]
    notices = [replace(_notice(number), about=each) for number, each in enumerate(about, 1)]
    post.send(*notices)
    named.send_many(notices, now=NOW)
    named.send_many(notices[:1], now=NOW)
    plain, sent = post.arrived()[:3], post.arrived()[3:]
    assert {message["Return-Path"] for message in plain} == {"<no-reply@zending.test>"}
    assert [envelopes.find([message["Return-Path"]]) for message in sent] == [*about, about[0]]
    assert sent[2]["Return-Path"] == "<no-reply@zending.test>"
    assert sent[0]["Return-Path"] == sent[3]["Return-Path"]
    for before, after in zip(plain, sent, strict=False):
        del before["Return-Path"], after["Return-Path"]
        assert before.as_string() == after.as_string()


def test_one_recipient_never_sees_anothers_address(post: Post) -> None:
    post.send(_notice(1), _notice(2))
    for file in post.folder.glob("*.eml"):
        assert len(set(re.findall(rb"an\d@example", file.read_bytes()))) == 1


def test_no_notice_holds_a_link_or_the_deliverys_id(post: Post) -> None:
    post.send(_notice(1), _notice(2, what=ActivationCode("012345")))
    for message in post.arrived():
        text = message.as_string() + message.get_content()
        assert "://" not in text
        assert "dlv_" not in text
    assert [("012345" in message.get_content(), "012345" in message["Subject"]) for message in post.arrived()] == [
        (False, False),
        (True, False),
    ]


def test_nothing_can_be_smuggled_in_by_a_value(post: Post) -> None:
    hostile = "Commune\r\nBcc: eve@example.test\r\n.\r\nRCPT TO:<eve@example.test>"
    post.send(_notice(1, what=MailArrived(hostile)), _notice(2, "an@example.test\r\nBcc: eve@example.test"))
    (message,) = post.arrived()
    assert message["Bcc"] is None
    assert message.get_all("Delivered-To") == ["an1@example.test"]


def test_a_connection_broken_by_one_notice_serves_the_next(post: Post) -> None:
    outcomes = post.send(_notice(1), _notice(2, "hangup@example.test"), _notice(3))
    assert [outcome.result for outcome in outcomes] == [Result.SENT, Result.RETRYABLE, Result.SENT]
    assert outcomes[1].reason == "no_connection"


def test_a_chunk_of_none_is_none(post: Post) -> None:
    assert post.send() == []


def test_a_server_that_is_down_is_retryable_for_every_notice() -> None:
    notifier = SmtpNotifier(f"smtp://127.0.0.1:{free_port()}", SENDER, seconds_per_call=2)
    outcomes = notifier.send_many([_notice(1), _notice(2)], now=NOW)
    assert [(outcome.result, outcome.reason) for outcome in outcomes] == [(Result.RETRYABLE, "no_connection")] * 2


def test_a_server_that_turns_us_away_at_the_door_says_nothing_of_the_recipient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def turn_away() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"554 5.7.1 Not you\r\n")

        door = threading.Thread(target=turn_away)
        door.start()
        notifier = SmtpNotifier(f"smtp://127.0.0.1:{listener.getsockname()[1]}", SENDER, seconds_per_call=5)
        (outcome,) = notifier.send_many([_notice()], now=NOW)
        door.join()
    assert (outcome.result, outcome.reason, outcome.status) == (Result.RETRYABLE, "no_connection", 554)


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        notifier = SmtpNotifier(f"smtp://127.0.0.1:{port}", SENDER, seconds_per_call=0.2)
        (outcome,) = notifier.send_many([_notice()], now=NOW)
    assert (outcome.result, outcome.reason) == (Result.RETRYABLE, "no_connection")


def test_a_wrong_password_is_ours_to_repair_and_no_bounce(post: Post) -> None:
    if "@" not in post.url:
        notifier = SmtpNotifier(post.url.replace("smtp:", "smtp+starttls:"), SENDER, seconds_per_call=5)
        expected = "tls_failed"  # the server offers no encryption: nothing is sent in plain text instead
    else:
        notifier = SmtpNotifier(post.url.replace("fict", "wrong"), SENDER, seconds_per_call=5)
        expected = "login_refused"
    (outcome,) = notifier.send_many([_notice()], now=NOW)
    assert (outcome.result, outcome.reason) == (Result.RETRYABLE, expected)
    assert post.arrived() == []


def test_a_server_that_nobody_vouches_for_gets_no_mail(post: Post) -> None:
    if "?ca=" not in post.url:
        assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED
        return
    notifier = SmtpNotifier(post.url.partition("?")[0], SENDER, seconds_per_call=5)
    (outcome,) = notifier.send_many([_notice()], now=NOW)
    assert (outcome.result, outcome.reason) == (Result.RETRYABLE, "tls_failed")
    assert post.arrived() == []


def test_the_sink_keeps_one_whole_file_per_message_under_the_time_it_came(post: Post) -> None:
    post.send(*(_notice(number) for number in range(20)))
    files = sorted(post.folder.iterdir())
    assert len(files) == 20
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    assert all(re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{16}\.eml", file.name) for file in files)
    assert [message["To"] for message in post.arrived()] == [f"an{number}@example.test" for number in range(20)]
