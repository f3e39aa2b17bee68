"""The application over real parts that nobody has started: no database, no broker; keys and settings of its own."""

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient

from service.app import framed, make_litestar
from service.bootstrap import Application, build
from service.db.ids import ORGANISATION, public_id
from service.identity.scopes import Scope
from service.own_keys import make_keys
from service.settings import Mode, read_settings
from tests.signing_support import pki

BASE_URL = "http://127.0.0.1:8000"
ORGANISATION_ID = uuid.UUID("0199f0c2-4d6a-7c3e-8b1f-5a2d9e4c7b60")
RECIPIENT = "citizen:" + "ab" * 32
DELIVERY_ID = "dlv_0199f0c24d6a7c3e8b1f5a2d9e4c7b60"


@contextmanager
def application(folder: Path, **changes: Any) -> Iterator[Application]:
    """Wire the application; every outside part is at an address where nobody listens."""
    make_keys(folder / "keys", "zending.invalid/log")
    (folder / "print").mkdir(exist_ok=True)
    (folder / "objects").mkdir(exist_ok=True)
    values: dict[str, Any] = {
        "mode": Mode.DEMO,
        "home": folder,
        "database_url": "postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1",
        "redis_url": "redis://127.0.0.1:1/0",
        "storage_url": (folder / "objects").as_uri(),
        "keys_folder": folder / "keys",
        "base_url": BASE_URL,
        "tsa_url": "http://127.0.0.1:1/",
        "trust_anchor": pki().trust_anchor,
        "oidc_issuer": "http://127.0.0.1:1",
        "oidc_client_secret": "not-a-secret",
        "smtp_url": "smtp://127.0.0.1:1",
        "print_folder": folder / "print",
        "api_threads": 4,
    }
    wired = build(read_settings(**(values | changes)))
    try:
        yield wired
    finally:
        wired.close()


@contextmanager
def door(wired: Application, app: Litestar | None = None) -> Iterator[TestClient[Any]]:
    """A client of the framed application, in this process."""
    frame = framed(wired, app or make_litestar(wired))
    with TestClient(app=frame, base_url=BASE_URL, raise_server_exceptions=False) as client:
        yield client


def token(wired: Application, scopes: Collection[Scope] = tuple(Scope), **changes: Any) -> str:
    """An access token of ours."""
    claims: dict[str, Any] = {
        "now": datetime.now(UTC),
        "subject": "program",
        "client_id": "program",
        "scopes": scopes,
        "organisation": public_id(ORGANISATION, ORGANISATION_ID),
        "recipient": RECIPIENT,
    }
    return wired.tokens.issue(**(claims | changes)).token


def bearer(wired: Application, *scopes: Scope, **changes: Any) -> dict[str, str]:
    """The header that shows such a token."""
    return {"Authorization": f"Bearer {token(wired, scopes or tuple(Scope), **changes)}"}


@lru_cache(maxsize=1)
def boundary() -> str:
    """A boundary that stands in no part."""
    return "zending-test-3f1c"


def multipart(*parts: tuple[str, str | None, bytes]) -> bytes:
    """A body of ``(name, filename, content)``."""
    lines = []
    for name, filename, content in parts:
        named = "" if filename is None else f'; filename="{filename}"'
        lines.append(f'--{boundary()}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode())
        lines.append(content + b"\r\n")
    return b"".join(lines) + f"--{boundary()}--\r\n".encode()


def multipart_headers() -> dict[str, str]:
    """The header of such a body."""
    return {"Content-Type": f"multipart/form-data; boundary={boundary()}"}
