"""The portal over rows in memory: browsers logged in as somebody, without a database or an identity provider."""

# ruff: noqa: ARG002 - stand-ins take all that the real ones take

import dataclasses
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest
from litestar import Litestar

from service.app import make_litestar
from service.bootstrap import Application
from service.domain.identifiers import RecipientKind
from service.identity.base import LogIn, LogInStart, PendingLogIn, Person
from service.identity.errors import LogInRefused
from service.usecases.access import Profile, StaffRole
from service.usecases.mailbox import Reader
from service.usecases.personal import PLATFORM
from service.usecases.views import DeliveryView, DocumentView, LinksView, MessageDocument, MessageView
from service.web import csrf, sessions
from tests.api_support import BASE_URL, DELIVERY_ID, application, door
from tests.domain_support import USUAL

TAX = StaffRole(uuid.UUID("0199f0c2-0000-7000-8000-000000000001"), "Tax & Customs", "clerk")
TOWN = StaffRole(uuid.UUID("0199f0c2-0000-7000-8000-000000000002"), "Voorbeeldegem", "clerk")
OPERATOR = StaffRole(TAX.organisation_id, "Tax & Customs", "operator")
PLATFORM_OPERATOR = StaffRole(PLATFORM, "Platform", "operator")
READER = Reader(b"\x07" * 32, RecipientKind.CITIZEN, "substantial")
PERSON = Person(issuer="http://127.0.0.1:1", subject="an", name="An <Peeters>")

NEITHER = Profile(None, ())
CLERK = Profile(None, (TAX,))
CLERK_OF_TWO = Profile(None, (TAX, TOWN))
CITIZEN = Profile(READER, ())
BOTH = Profile(READER, (TAX,))
PROFILES = {
    "neither": NEITHER,
    "clerk": CLERK,
    "clerk of two": CLERK_OF_TWO,
    "citizen": CITIZEN,
    "operator": Profile(None, (OPERATOR,)),
    "platform operator": Profile(None, (PLATFORM_OPERATOR,)),
}
NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


class Rows:
    """``service.usecases.sessions`` in memory."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.touched: list[bytes] = []

    def begin(self, _context: Any, id_hash: bytes, data: Any, *, lifetime: timedelta) -> None:
        self.rows[id_hash] = msgspec.json.encode(data)

    def find(self, _context: Any, id_hash: bytes, *, idle: timedelta, touch: bool = True) -> bytes | None:
        if touch:
            self.touched.append(id_hash)
        return self.rows.get(id_hash)

    def change(self, _context: Any, id_hash: bytes, data: Any) -> None:
        if id_hash in self.rows:
            self.rows[id_hash] = msgspec.json.encode(data)

    def take(self, _context: Any, id_hash: bytes) -> bytes | None:
        return self.rows.pop(id_hash, None)

    def end(self, _context: Any, id_hash: bytes) -> None:
        self.rows.pop(id_hash, None)


class Provider:
    """An identity provider that lets in whoever comes back with code ``good`` and the state it gave."""

    def __init__(self) -> None:
        self.person = PERSON
        self.offers_log_out = True
        self.started: list[PendingLogIn] = []

    def start(self, *, now: datetime, redirect_uri: str, language: str | None = None) -> LogInStart:
        pending = PendingLogIn(f"state-{len(self.started)}", "nonce", "verifier")
        self.started.append(pending)
        return LogInStart(f"https://login.example/authorize?state={pending.state}&back={redirect_uri}", pending)

    def finish(self, *, now: datetime, redirect_uri: str, pending: PendingLogIn, parameters: Any) -> LogIn:
        if parameters.get("code") != "good" or parameters.get("state") != pending.state:
            raise LogInRefused("The log-in was not completed. Please try again.")
        return LogIn(self.person, "id-token")

    def log_out_url(self, *, now: datetime, id_token: str, return_uri: str, state: str | None = None) -> str | None:
        return f"https://login.example/end?hint={id_token}" if self.offers_log_out else None


class Browser:
    """A browser with cookies; ``token`` is its session's proof for forms."""

    def __init__(self, client: httpx.Client, app: Litestar, rows: Rows, wired: Application, provider: Provider) -> None:
        self.client, self.app, self.rows, self.wired, self.provider = client, app, rows, wired, provider
        self._secret = b""

    def sign_in(self, *, person: Person = PERSON, organisation: str | None = None) -> None:
        """Give the browser a session."""
        self._secret = csrf.new_secret()
        made = sessions.begin(self.wired, LogIn(person, "id-token"))
        assert made.value is not None
        found = sessions.find(self.wired, made.value, touch=False)
        assert found is not None
        data = msgspec.structs.replace(found.data, csrf_secret=self._secret, organisation=organisation)
        sessions.change(self.wired, found, data)
        self.client.cookies.set(made.key, made.value)

    @property
    def token(self) -> str:
        return csrf.token(self._secret)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=_names(headers), follow_redirects=False)

    def post(self, path: str, data: Any = None, *, files: Any = None, token: str | None = None, **headers: str) -> Any:
        """Send a form as a page of ours would; ``token`` replaces the proof, ``Origin`` the origin."""
        form = {"csrf": self.token if token is None and self._secret else token or ""} | (data or {})
        given = {"Origin": BASE_URL} | _names(headers)
        sent = {name: value for name, value in given.items() if value != "-"}
        return self.client.post(path, data=form, files=files, headers=sent, follow_redirects=False)


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class House:
    """The application with its portal, started once for many tests; every test gets a browser of its own."""

    def __init__(self, client: httpx.Client, app: Litestar, wired: Application) -> None:
        self.client, self.app, self.wired = client, app, wired

    def browser(self, monkeypatch: pytest.MonkeyPatch, profile: Profile | None = None) -> Browser:
        """A browser; with a profile, of somebody who is logged in."""
        rows, provider = Rows(), Provider()
        monkeypatch.setattr("service.usecases.policies.of_sender", lambda *_: USUAL)
        for name in ("begin", "find", "change", "take", "end"):
            monkeypatch.setattr(f"service.usecases.sessions.{name}", getattr(rows, name))
        monkeypatch.setattr("service.usecases.access.profile", lambda _context, _person: profile or NEITHER)
        identity = cast("Exchangeable", self.wired.identity)
        identity.now_it_is = provider
        self.client.cookies.clear()
        made = Browser(self.client, self.app, rows, self.wired, provider)
        if profile is not None:
            made.sign_in()
        return made


class Exchangeable:
    """The application's identity provider, which is another one in every test."""

    now_it_is: Provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now_it_is, name)


@contextmanager
def house(folder: Path, **settings: Any) -> Iterator[House]:
    """Start the application; nothing it would talk to is there."""
    with application(folder, **settings) as wired:
        known = dataclasses.replace(wired, identity=Exchangeable())  # type: ignore[arg-type]
        app = make_litestar(known)
        with door(known, app) as client:
            yield House(client, app, known)


def delivery(**changes: Any) -> DeliveryView:
    """A letter as its sender sees it."""
    view = DeliveryView(
        id=DELIVERY_ID,
        reference="REF-1",
        status="sealed",
        channel=None,
        registered=False,
        document_type="letter",
        subject="Your <b>letter</b>",
        created_at=NOW,
        updated_at=NOW,
        effective_at=None,
        documents=[DocumentView("main", "brief.pdf", 2, 70_000, "aa", "bb", "/x")],
        problems=[],
        links=LinksView("/e", "/f"),
        submission_id="sub_0199f0c24d6a7c3e8b1f5a2d9e4c7b60",
    )
    return msgspec.structs.replace(view, **changes)


def message(**changes: Any) -> MessageView:
    """A message that is not opened yet."""
    view = MessageView(DELIVERY_ID, "Tax & Customs", "Your <b>letter</b>", "letter", False, NOW, None, [], "available")
    return msgspec.structs.replace(view, **changes)


def opened(**changes: Any) -> MessageView:
    """A message that is opened."""
    documents = [MessageDocument("main", "brief.pdf", 2, 70_000, "/x")]
    return message(opened_at=NOW, documents=documents, state="opened", **changes)


class _Texts(HTMLParser):
    """What stands in a page, apart from its mark-up."""

    SHOWN = ("alt", "title", "placeholder", "aria-label")

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value for name, value in attrs if name in self.SHOWN and value]


def texts(html: str) -> list[str]:
    """The texts of a page or template that people see or hear."""
    parser = _Texts()
    parser.feed(html)
    return parser.texts


def field(html: str, name: str) -> str:
    """The value of an input of a page."""
    found = re.search(rf'<input[^>]* name="{name}"[^>]* value="([^"]*)"', html)
    assert found is not None, name
    return found.group(1)
