"""A whole service on this machine, as a demonstration has it, with senders and recipients of its own.

For programs that measure it and for tests that hurt it: both want the real processes and real hand-ins over HTTP.
"""

import base64
import email
import email.policy
import http.client
import json
import os
import queue
import random
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from bench.line import Line
from service.bootstrap import Application, build
from service.domain.identifiers import RecipientId, RecipientKind
from service.embedded.pki import ensure_seal
from service.embedded.stack import Stack
from service.identity.scopes import Scope
from service.settings import read_settings
from service.usecases import activation, organisations
from service.usecases.mailbox import Reader
from service.usecases.personal import find_hash

DOCUMENTS = Path(__file__).resolve().parent.parent / "tests" / "documents"
WEIGHTS: Mapping[str, int] = {
    "permit-nl-libreoffice.pdf": 18,
    "letter-fr-chromium.pdf": 18,
    "notice-nl-ghostscript.pdf": 18,
    "receipt-nl-reportlab.pdf": 18,
    "form-filled-fr.pdf": 10,
    "permit-nl-pdfa.pdf": 8,
    "signed-nl.pdf": 4,
    "attachment-fr.pdf": 3,
    "scan-fr.pdf": 2,
    "report-60-pages-nl.pdf": 1,
}
"""How often each sample document is handed in: mostly one or two pages, one scan in fifty, one long report in a
hundred."""
ON_PAPER = {"form-filled-fr.pdf": "attachment-fr.pdf", "signed-nl.pdf": "letter-fr-chromium.pdf"}
"""What stands in on paper for documents that lack a font: no letter is made of them."""
SECRET = secrets.token_urlsafe(24)
_CODE = re.compile(r"\b(\d{6})\b")


@dataclass(frozen=True)
class Sending:
    """An organisation that hands in, and its program."""

    slug: str
    name: str
    number: str

    @property
    def client_id(self) -> str:
        """The program's name."""
        return f"{self.slug}-program"


SENDERS = (
    Sending("belastingen", "Fictieve Belastingdienst", "OVO000001"),
    Sending("gemeente", "Gemeente Voorbeeldegem", "OVO000002"),
)


@dataclass(frozen=True)
class Request:
    """A hand-in that is ready to go: its key, its reference, and the bytes of its body."""

    key: str
    reference: str
    digital: bool
    registered: bool
    content_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What became of a hand-in: the id it was acknowledged under, and how long that took."""

    request: Request
    delivery: str
    seconds: float


@dataclass
class Running:
    """The running service with its senders, and recipients whose mailboxes are activated."""

    stack: Stack
    application: Application = field(repr=False)
    activated: Sequence[str] = field(repr=False)

    @property
    def home(self) -> Path:
        """Where all data lies."""
        return self.stack.home

    def token(self, sender: Sending = SENDERS[0], *, scope: str = "deliveries:write deliveries:read") -> str:
        """An access token, fetched as an agency's program does."""
        login = base64.b64encode(f"{sender.client_id}:{SECRET}".encode()).decode()
        with closing(connect(self.stack.base_url)) as connection:
            connection.request(
                "POST",
                "/oauth/token",
                urlencode({"grant_type": "client_credentials", "scope": scope}),
                {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"},
            )
            answer = connection.getresponse()
            content = json.loads(answer.read())
        if answer.status != http.client.OK:
            raise RuntimeError(f"no token: {content}")
        return str(content["access_token"])


@contextmanager
def running(
    home: Path, *, workers: int = 1, mailboxes: int = 20, here: bool = False, also: str | None = None, **settings: str
) -> Iterator[Running]:
    """Start everything in ``home`` and stop it at the end.

    Args:
        home: an empty folder.
        workers: how many worker programs.
        mailboxes: how many recipients activate theirs.
        here: start only servers and outside parties; this process takes documents and does the work itself.
        also: an address of this machine besides 127.0.0.1, for service processes on other machines.
        settings: more of the environment, such as ``ZENDING_PRINT_CUTOFF_SECONDS``.
    """
    given = {name: value for name, value in os.environ.items() if not name.startswith("ZENDING_")}
    given |= {"ZENDING_QUIET_HOURS": "false", **settings}
    with Stack(home, people=[{"login": "an", "name": "An Peeters"}], given=given, also=also) as stack:
        stack.prepare()
        for sender in SENDERS:
            seal = ensure_seal(stack.home / "pki", sender.name, sender.slug)
            for source, kind in ((seal.key, "key"), (seal.certificate, "cert"), (seal.chain, "chain")):
                shutil.copy(source, stack.home / "keys" / "seals" / f"{sender.slug}.{kind}.pem")
        application = _application(stack, hands_in=here)
        try:
            _know_senders(application)
            numbers = list(citizens(mailboxes))
            for each in numbers:
                activate(application, stack.home / "mail", each)
            if not here:
                stack.start_service(workers=workers)
            yield Running(stack, application, numbers)
        finally:
            application.close()


def _application(stack: Stack, *, hands_in: bool) -> Application:
    """The use cases in this process, for what an operator or a portal would do."""
    names = {
        name.removeprefix("ZENDING_").lower(): value
        for name, value in stack.environment.items()
        if name.startswith("ZENDING_") or name in {"DATABASE_URL", "REDIS_URL", "STORAGE_URL"}
    }
    return build(read_settings(**names), hands_in=hands_in)


def _know_senders(application: Application) -> None:
    with application.context.database.transaction() as session:
        for sender in SENDERS:
            organisation = organisations.ensure(
                session,
                organisations.NewOrganisation(
                    slug=sender.slug,
                    name=sender.name,
                    kind="administration",
                    number=sender.number,
                    seal_profile=sender.slug,
                    return_address=["Postbus 1", "1000 Brussel"],
                    contact="0800 00 000",
                ),
            )
            scopes = {Scope.DELIVERIES_WRITE, Scope.DELIVERIES_READ, Scope.RECIPIENTS_LOOKUP}
            program = organisations.NewClient(sender.client_id, "Fictief programma", SECRET, scopes)
            organisations.ensure_client(session, organisation, program)


def activate(application: Application, mail: Path, number: str) -> None:
    """Activate a mailbox as its owner does: with the code that came by e-mail."""
    context = application.context
    recipient = RecipientId.parse(RecipientKind.CITIZEN, number)
    reader = Reader(find_hash(context, recipient), RecipientKind.CITIZEN, "substantial")
    address = f"person-{number[-6:]}-{secrets.token_hex(4)}@example.be"
    before = set(mail.glob("*.eml"))
    activation.begin(context, reader, address, "nl")
    # Others may get mail at the same moment.
    (message,) = (path for path in set(mail.glob("*.eml")) - before if address.encode() in path.read_bytes())
    content = email.message_from_bytes(message.read_bytes(), policy=email.policy.default).get_content()
    found = _CODE.search(content)
    assert found is not None, "the message with the code has six digits"
    activation.confirm(context, reader, found.group(1), consent_version=activation.CONSENT_VERSION)


def citizens(count: int, *, first: int = 850730001) -> Iterator[str]:
    """Fictional national numbers: a birth date, an order and the check number that belongs to them."""
    for number in range(first, first + count):
        yield f"{number:09d}{97 - number % 97:02d}"


def requests(target: Running, count: int, *, digital: float = 0.3, seed: int = 20261123) -> list[Request]:
    """Hand-ins over the sample documents, in an order that is mixed but the same for the same seed.

    Args:
        target: whose recipients with a mailbox get the digital share; everybody else gets paper.
        count: how many.
        digital: the share for mailboxes.
        seed: of the mixture.
    """
    chance = random.Random(seed)
    names = chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=count)
    ways = [number < round(count * digital) for number in range(count)]
    chance.shuffle(ways)
    files = {name: (DOCUMENTS / name).read_bytes() for name in WEIGHTS}
    paper = citizens(count, first=610215001)
    made = []
    for number, (drawn, to_mailbox) in enumerate(zip(names, ways, strict=True)):
        name = drawn if to_mailbox else ON_PAPER.get(drawn, drawn)
        citizen = chance.choice(target.activated) if to_mailbox else next(paper)
        made.append(_request(f"P-{seed}-{number:06d}", citizen, name, files[name], digital=to_mailbox))
    return made


def _request(reference: str, citizen: str, name: str, pdf: bytes, *, digital: bool) -> Request:
    person = f"Persoon {citizen[-4:]}"
    delivery: dict[str, Any] = {
        "reference": reference,
        "recipient": {"type": "citizen", "id": citizen, "name": person},
        "postal_address": {
            "name": person,
            "street": "Kerkstraat",
            "number": str(1 + int(citizen[-5:]) % 200),
            "postcode": str(9000 + int(citizen[-5:]) % 90),
            "municipality": "Gent",
            "country": "BE",
        },
        "subject": "Beslissing over uw aanvraag",
        "language": "nl",
        "document_type": "decision",
    }
    boundary = secrets.token_hex(16)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="%s"%s\r\nContent-Type: %s\r\n\r\n'
    body = b"".join(
        (
            (head % ("delivery", "", "application/json")).encode(),
            json.dumps(delivery).encode(),
            b"\r\n",
            (head % ("document", f'; filename="{name}"', "application/pdf")).encode(),
            pdf,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    return Request(
        key=secrets.token_hex(16),
        reference=reference,
        digital=digital,
        registered=False,
        content_type=f"multipart/form-data; boundary={boundary}",
        body=body,
    )


def connect(base_url: str, *, timeout: float = 30.0) -> http.client.HTTPConnection:
    """A connection that stays for many requests."""
    parts = urlsplit(base_url)
    assert parts.hostname is not None
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)


def hand_in(
    target: Running,
    wanted: Sequence[Request],
    *,
    connections: int = 8,
    sender: Sending = SENDERS[0],
    patience: float = 60.0,
    done: Callable[[Answer], object] = lambda _: None,
) -> list[Answer]:
    """Hand in over several kept connections, as an agency's program does.

    What is not acknowledged (the line breaks, 5xx, 429, 409 while the first try is still running) is sent again under
    the same key until ``patience`` seconds have passed since it was first sent.

    Raises:
        RuntimeError: one was refused, or not acknowledged in time.
    """
    waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
    for request in wanted:
        waiting.put(request)
    answers: list[Answer] = []
    failed: list[Exception] = []
    token = target.token(sender)

    def work() -> None:
        line = Line(target.stack.base_url, "/v1/deliveries", {"Authorization": f"Bearer {token}"})
        try:
            while not failed:
                try:
                    request = waiting.get_nowait()
                except queue.Empty:
                    return
                answer = _sent(line, request, patience=patience)
                answers.append(answer)
                done(answer)
        except Exception as error:  # noqa: BLE001  raised again where the threads are awaited
            failed.append(error)
        finally:
            line.close()

    threads = [threading.Thread(target=work, name=f"connection-{number}") for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return answers


_AGAIN = frozenset({409, 429, 500, 502, 503, 504})


def _sent(line: Line, request: Request, *, patience: float) -> Answer:
    """Send until it is acknowledged."""
    began = time.perf_counter()
    last = "nothing was answered"
    while time.perf_counter() - began < patience:
        try:
            status, content = line.post(
                {"Idempotency-Key": request.key, "Content-Type": request.content_type}, request.body
            )
        except OSError as error:
            last = type(error).__name__
        else:
            if status == http.client.ACCEPTED:
                return Answer(request, json.loads(content)["id"], time.perf_counter() - began)
            last = f"{status} {content[:300]!r}"
            if status not in _AGAIN:
                raise RuntimeError(f"{request.reference} was refused: {last}")
        time.sleep(0.2)
    raise RuntimeError(f"{request.reference} was not acknowledged in {patience:.0f} s: {last}")
