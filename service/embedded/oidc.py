"""A real OpenID Connect provider with fictional people, for demonstrations and tests.

``python -m service.embedded.oidc --port N --people FILE`` serves issuer ``http://127.0.0.1:N`` until it is told to end.
Issuer and signing key stay the same across restarts: the key is kept beside the people file (or in ``--key``).

The people file is a JSON list of ``{"login": …, "name": …, "about": …, "claims": {…}}``. ``login`` becomes
``sub``, ``name`` the claim ``name`` (scope ``profile``, like ``locale``); ``about`` is one line for the log-in page and
no claim; everything in ``claims`` goes into the ID token, for example ``rrn``, ``vo_orgcode``, ``locale``,
``acr``, ``roles``.

With ``--clients FILE``, a JSON list of ``{"client_id", "client_secret", "redirect_uris"}``, only these may ask; without
it any client may. Beyond what the library does, PKCE is enforced, only people of the file can log in, and the calls
that would let a stranger add people or clients are closed.
"""

import argparse
import base64
import hashlib
import hmac
import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

# The library is made for https; this provider never leaves the machine. Read when authlib is imported.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

# oidc-provider-mock still imports authlib.jose, which announces its own removal and lets no filter silence it.
with warnings.catch_warnings(record=True):
    import oidc_provider_mock
    from oidc_provider_mock import _storage as provider_storage

import flask
import jinja2
from authlib.jose import RSAKey
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from werkzeug.serving import WSGIRequestHandler, make_server

HOST = "127.0.0.1"
TOKEN_AGE = timedelta(hours=1)
_PAGES = Path(__file__).parent / "oidc_pages"
_CLOSED = ("/users/", "/oauth2/clients", "/oidc/")
_MAX_CODES = 1000
_METHOD = "S256"


@dataclass(frozen=True, slots=True)
class FictionalPerson:
    """Somebody of the people file."""

    login: str
    name: str
    about: str
    claims: dict[str, object]


@dataclass(frozen=True, slots=True)
class FictionalClient:
    """A program that may send people here."""

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]


def read_people(path: Path) -> tuple[FictionalPerson, ...]:
    """Read the people file.

    Raises:
        ValueError: it is not what the module's documentation says, or a login stands there twice.
    """
    people = tuple(
        FictionalPerson(
            str(entry["login"]), str(entry["name"]), str(entry.get("about", "")), dict(entry.get("claims", {}))
        )
        for entry in json.loads(path.read_text("utf-8"))
    )
    if not people or len({person.login for person in people}) != len(people):
        raise ValueError("the people file needs at least one person, each with a login of their own")
    return people


def read_clients(path: Path) -> tuple[FictionalClient, ...]:
    """Read the clients file.

    Raises:
        KeyError: an entry lacks one of its three members.
    """
    return tuple(
        FictionalClient(entry["client_id"], entry["client_secret"], tuple(entry["redirect_uris"]))
        for entry in json.loads(path.read_text("utf-8"))
    )


def kept_key(path: Path) -> bytes:
    """Return the provider's private key (PEM), made at the first start and kept readable for its owner only."""
    if not path.exists():
        pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return path.read_bytes()


class _Codes:
    """The PKCE challenge of each code that is out (RFC 7636), which the library does not keep."""

    def __init__(self) -> None:
        self._challenges: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, code: str, challenge: str) -> None:
        with self._lock:
            self._challenges[code] = challenge
            while len(self._challenges) > _MAX_CODES:
                self._challenges.popitem(last=False)

    def redeem(self, code: str, verifier: str) -> bool:
        """Tell whether ``verifier`` belongs to ``code``; each code can be tried once."""
        with self._lock:
            challenge = self._challenges.pop(code, None)
        digest = hashlib.sha256(verifier.encode("utf-8", "surrogatepass")).digest()
        computed = base64.urlsafe_b64encode(digest).rstrip(b"=")
        return challenge is not None and hmac.compare_digest(computed, challenge.encode("utf-8", "surrogatepass"))


def build_app(
    *,
    port: int,
    people: Sequence[FictionalPerson],
    key_pem: bytes,
    clients: Sequence[FictionalClient] | None = None,
    token_age: timedelta = TOKEN_AGE,
) -> flask.Flask:
    """Make the provider's WSGI application, which answers only to ``127.0.0.1:port``."""
    app: flask.Flask = oidc_provider_mock.app(
        require_client_registration=clients is not None,
        require_nonce=True,
        issue_refresh_token=False,
        access_token_max_age=token_age,
        user_claims=[
            provider_storage.User(sub=person.login, claims={"name": person.name, **person.claims}) for person in people
        ],
    )
    # The library wraps itself into a debugger that would run code for whoever can reach the port.
    app.debug = False
    app.wsgi_app = app.wsgi_app.app  # type: ignore[method-assign, attr-defined]
    # The issuer is made of the Host header: with another one it would not be the issuer any more.
    app.config["TRUSTED_HOSTS"] = [f"{HOST}:{port}"]
    app.jinja_env.loader = jinja2.FileSystemLoader(_PAGES)
    app.context_processor(lambda: {"fictional_people": people})
    app.add_url_rule("/style.css", "fictional_style", _style)
    _install_state(app, key_pem, clients)
    _install_rules(app, {person.login for person in people})
    return app


def _style() -> flask.Response:
    return flask.send_from_directory(_PAGES, "style.css")


def _install_state(app: flask.Flask, key_pem: bytes, clients: Sequence[FictionalClient] | None) -> None:
    """Give the library's storage, which exists only within requests, our key and clients at the first request."""
    key = RSAKey.import_key(key_pem)
    lock, prepared = threading.Lock(), threading.Event()

    @app.before_request
    def prepare() -> None:
        if prepared.is_set():
            return
        with lock:
            storage = flask.g.oidc_provider_mock_storage
            storage.jwk = key
            for client in clients or ():
                storage.store_client(
                    provider_storage.Client(
                        id=client.client_id,
                        secret=client.client_secret,
                        redirect_uris=list(client.redirect_uris),
                        allowed_scopes=provider_storage.Client.SCOPES_SUPPORTED,
                        token_endpoint_auth_method="client_secret_basic",  # noqa: S106  the name of a method
                    )
                )
            prepared.set()


def _install_rules(app: flask.Flask, logins: set[str]) -> None:
    """Close what a stranger could misuse and enforce PKCE."""
    codes = _Codes()

    @app.before_request
    def guard() -> Any:
        request = flask.request
        if request.path.startswith(_CLOSED):
            flask.abort(404)
        if request.path == "/oauth2/token" and not codes.redeem(
            request.form.get("code", ""), request.form.get("code_verifier", "")
        ):
            return {"error": "invalid_grant", "error_description": "unknown code or wrong code_verifier"}, 400
        if request.path == "/oauth2/authorize":
            return _guard_authorize(request, logins)
        return None

    @app.after_request
    def complete(response: flask.Response) -> flask.Response:
        if flask.request.path == "/oauth2/authorize" and flask.request.method == "POST" and response.location:
            answer = parse_qs(urlsplit(response.location).query)
            for code in answer.get("code", []):
                codes.remember(code, flask.request.args["code_challenge"])
            if "error" in answer and "state" not in answer:
                # The library forgets the state of a refusal, which RFC 6749, section 4.1.2.1, requires.
                response.location += "&" + urlencode({"state": flask.request.args.get("state", "")})
        if flask.request.path == "/.well-known/openid-configuration" and response.is_json:
            document = response.get_json()
            document.pop("registration_endpoint", None)
            document["grant_types_supported"] = ["authorization_code"]
            document["code_challenge_methods_supported"] = [_METHOD]
            response.set_data(json.dumps(document, indent=1))
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def _guard_authorize(request: flask.Request, logins: set[str]) -> Any:
    if request.args.get("code_challenge_method") != _METHOD or not request.args.get("code_challenge"):
        text = "the request has no code_challenge with method S256"
        return flask.render_template("error.html", name="invalid_request", description=text), 400
    if request.method == "POST" and "action" not in request.form and request.form.get("sub") not in logins:
        return flask.render_template("authorization_form.html", nobody_chosen=True), 400
    return None


class _QuietHandler(WSGIRequestHandler):
    """Writes no line per request: queries hold codes and states."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def serve(app: flask.Flask, port: int) -> None:
    """Serve ``app`` with a thread per connection until SIGTERM or SIGINT."""
    logging.getLogger().setLevel(logging.ERROR)
    server = make_server(HOST, port, app, threaded=True, request_handler=_QuietHandler)
    stop = _stopper(server.shutdown)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()


def _stopper(shutdown: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        # shutdown() waits for the loop that this handler interrupts, so it must run elsewhere.
        threading.Thread(target=shutdown, daemon=True).start()

    return stop


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the provider from the command line."""
    parser = argparse.ArgumentParser(prog="python -m service.embedded.oidc", description=main.__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--people", type=Path, required=True, help="JSON file of the fictional people")
    parser.add_argument("--clients", type=Path, help="JSON file of the clients that may ask; without it any may")
    parser.add_argument("--key", type=Path, help="where the signing key is kept (beside the people file)")
    parser.add_argument("--token-age", type=int, default=int(TOKEN_AGE.total_seconds()), help="seconds")
    given = parser.parse_args(arguments)
    app = build_app(
        port=given.port,
        people=read_people(given.people),
        key_pem=kept_key(given.key or given.people.with_suffix(".key.pem")),
        clients=read_clients(given.clients) if given.clients else None,
        token_age=timedelta(seconds=given.token_age),
    )
    serve(app, given.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
