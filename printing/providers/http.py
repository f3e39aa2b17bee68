"""A print house that is called letter by letter over HTTP; it prints nothing of a batch until told that all is there.

Below the print house's address (docs/printing.md has the calls):

- ``GET batches/{parcel}``: what is there: absent, open or complete, what was announced and what came, by digest.
- ``PUT batches/{parcel}``: the announcement: the parcel's digest and that of each part; an open one of another digest
  is forgotten first.
- ``PUT batches/{parcel}/letters/{id}-{attempt}``: a letter, sealed or in clear; ``…/file`` for what goes whole.
- ``POST batches/{parcel}/complete``: the one step by which a parcel is handed over, where other ways rename.
- ``DELETE batches/{parcel}``: an open one is forgotten; a complete one is not.
- ``GET responses``, ``GET`` and ``DELETE responses/{name}``: the inbox.

That a batch is absent must be said in an answer: a "not found" may come from anything that stands in between, and must
never look as if the print house had taken everything away.
"""

import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from printing import encryption
from printing.errors import Problem, ProviderRefused
from printing.providers import parts
from printing.providers.base import (
    MOST_INCOMING,
    Incoming,
    Parcel,
    RemoteKind,
    RemoteState,
    check_incoming,
    is_incoming,
    too_big,
    unavailable,
)

T = TypeVar("T")

_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_LOG_IN: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_BATCHES: Final = "batches/"
_STEPS: Final = 10
"""How many times the time of one step a whole answer may take."""


class _Batch(msgspec.Struct, frozen=True):
    """What the print house says of a parcel; digests by the name of each part."""

    state: Literal["absent", "open", "complete"]
    sha256: str = ""
    announced: dict[str, str] = {}
    parts: dict[str, str] = {}


class _Listed(msgspec.Struct, frozen=True):
    name: str
    size: Annotated[int, msgspec.Meta(ge=0)]


class _Said(msgspec.Struct, frozen=True):
    """What an answer that is no success may say; both are shown only when they look like what they should be."""

    code: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9_]{1,40}$")] | None = None
    sha256: str | None = None


class HttpProvider:
    """Letters by calls; what must hold is said by `PrintProvider`, with "complete" for the parcel's own name."""

    def __init__(self, url: str, token: str, client: Callable[[], httpx.Client], *, seconds: float) -> None:
        """Nothing is called yet.

        Args:
            url: the address below which everything is.
            token: who we are there, as a bearer.
            client: makes a client that judges where it goes; it lives for one act, so processes that fork share none.
            seconds: for each step of a call.
        """
        self._url, self._token, self._client, self._seconds = url.rstrip("/"), token, client, seconds

    def look(self) -> None:
        """As the protocol says: the inbox can be listed."""
        try:
            self.incoming()
        except ProviderRefused as error:
            # What must be looked at is told when a parcel is brought; here it can't be reached, whatever the reason.
            raise unavailable() from error

    def state(self, parcel: Parcel) -> RemoteState:
        """As the protocol says; the parcel is whole when every part is there that was announced for its digest."""
        parcel.check_name()
        with self._client() as client:
            return _state(self._batch(client, parcel), parcel)

    def upload(self, parcel: Parcel, data: bytes | Path) -> RemoteState:
        """As the protocol says; only what is not there is sent, so it goes on where it broke off.

        What lies there of a parcel with another digest is taken away first: the batch was made anew since.
        """
        parcel.check_name()
        with self._client() as client:
            there = self._batch(client, parcel)
            if there.state == "open" and there.sha256 != parcel.sha256:
                # Its letters bear the same names: a print house need not take another for one that it has.
                self._withdraw(client, parcel)
                there = self._batch(client, parcel)
            state = _state(there, parcel)
            if state.kind in {RemoteKind.HANDED_OVER, RemoteKind.UPLOADED}:
                return state
            announced = {part.name: part.sha256 for part in parts.parts(parcel.name, data)}
            if (there.sha256, there.announced) != (parcel.sha256, announced):
                self._announce(client, parcel, announced, parts.about(parcel.name, data))
            for part in parts.parts(parcel.name, data):
                if there.parts.get(part.name) != announced[part.name]:
                    self._send(client, parcel, part)
            state = _state(self._batch(client, parcel), parcel)
        if state.kind not in {RemoteKind.HANDED_OVER, RemoteKind.UPLOADED}:
            raise unavailable("The print house does not have all letters yet.")
        return state

    def publish(self, parcel: Parcel) -> None:
        """As the protocol says: the print house may begin."""
        parcel.check_name()
        with self._client() as client:
            kind = _state(self._batch(client, parcel), parcel).kind
            if kind is RemoteKind.PARTIAL:
                raise _incomplete(parcel)
            if kind is RemoteKind.UPLOADED:
                body = {"sha256": parcel.sha256}
                status, answer = self._ask(
                    client,
                    "POST",
                    f"{_path(parcel)}/complete",
                    json=body,
                    headers={"Idempotency-Key": f'"{parcel.name}/complete"'},
                )
                if status == HTTPStatus.CONFLICT:
                    raise _incomplete(parcel)
                _accept(status, answer)

    def discard(self, parcel: Parcel) -> None:
        """As the protocol says."""
        parcel.check_name()
        with self._client() as client:
            if _state(self._batch(client, parcel), parcel).kind in {RemoteKind.PARTIAL, RemoteKind.UPLOADED}:
                self._withdraw(client, parcel)

    def incoming(self) -> Sequence[Incoming]:
        """As the protocol says."""
        with self._client() as client:
            listed = _read(_accept(*self._ask(client, "GET", "responses")), tuple[_Listed, ...])
        return tuple(
            Incoming(each.name, each.size)
            for each in sorted(listed, key=lambda each: each.name)
            if is_incoming(each.name)
        )

    def fetch(self, name: str) -> bytes:
        """As the protocol says."""
        check_incoming(name)
        with self._client() as client:
            status, data = self._ask(client, "GET", f"responses/{quote(name, safe='')}")
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            raise ProviderRefused(Problem("INCOMING_GONE", "There is no such file in the inbox."))
        return _accept(status, data)

    def remove(self, name: str) -> None:
        """As the protocol says."""
        check_incoming(name)
        with self._client() as client:
            status, data = self._ask(client, "DELETE", f"responses/{quote(name, safe='')}")
        if status not in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            _accept(status, data)

    def _batch(self, client: httpx.Client, parcel: Parcel) -> _Batch:
        return _read(_accept(*self._ask(client, "GET", _path(parcel))), _Batch)

    def _withdraw(self, client: httpx.Client, parcel: Parcel) -> None:
        status, answer = self._ask(client, "DELETE", _path(parcel))
        # It may have been completed by another in the meantime: then it is left alone.
        if status != HTTPStatus.CONFLICT:
            _accept(status, answer)

    def _announce(
        self, client: httpx.Client, parcel: Parcel, announced: dict[str, str], about: dict[str, object] | None
    ) -> None:
        body = {"sha256": parcel.sha256, "size": parcel.size, "parts": announced, "manifest": about}
        _accept(*self._ask(client, "PUT", _path(parcel), json=body))

    def _send(self, client: httpx.Client, parcel: Parcel, part: parts.Part) -> None:
        key = {"Idempotency-Key": f'"{parcel.name}/{part.name}"'}
        path = f"{_path(parcel)}/{quote(part.name)}"
        if part.letter is None:
            kind = encryption.MEDIA_TYPE if encryption.is_sealed(part.data) else "application/octet-stream"
            digest = base64.b64encode(bytes.fromhex(part.sha256)).decode("ascii")
            headers = key | {"Content-Type": kind, "Content-Digest": f"sha-256=:{digest}:"}
            status, data = self._ask(client, "PUT", path, content=part.data, headers=headers)
        else:
            told = json.dumps(asdict(part.letter), ensure_ascii=False, sort_keys=True).encode()
            form = {
                "letter": ("letter.json", told, "application/json"),
                "document": (part.letter.file, part.data, "application/pdf"),
            }
            status, data = self._ask(client, "PUT", path, files=form, headers=key)
        if status == HTTPStatus.CONFLICT:
            if _said(data).sha256 != part.sha256:
                raise ProviderRefused(Problem("REMOTE_DIFFERS", f"{part.name} is there with another content."))
            return
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _LOG_IN:
            code = _said(data).code or f"HTTP {status}"
            raise ProviderRefused(Problem("LETTER_REFUSED", f"The print house does not take {part.name} ({code})."))
        _accept(status, data)

    def _ask(self, client: httpx.Client, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        """One call; `ProviderUnavailable` for all that may be otherwise next time."""
        headers = {"Authorization": f"Bearer {self._token}"} | more.pop("headers", {})
        until = time.monotonic() + _STEPS * self._seconds
        data = bytearray()
        try:
            with client.stream(method, f"{self._url}/{path}", headers=headers, **more) as answer:
                if answer.status_code in _LATER or answer.is_server_error:
                    raise unavailable()
                if answer.status_code == HTTPStatus.NOT_FOUND and path.startswith(_BATCHES):
                    raise unavailable("The print house's address does not answer for batches now.")
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > MOST_INCOMING:
                        raise too_big()
                    if time.monotonic() > until:
                        raise unavailable("The print house answers too slowly.")
                return answer.status_code, bytes(data)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise unavailable() from error


def _path(parcel: Parcel) -> str:
    return f"{_BATCHES}{quote(parcel.name, safe='')}"


def _state(there: _Batch, parcel: Parcel) -> RemoteState:
    if there.state == "absent":
        return RemoteState(RemoteKind.ABSENT)
    if there.state == "complete":
        return RemoteState(RemoteKind.HANDED_OVER, parcel.size)
    if there.sha256 == parcel.sha256 and there.announced and there.parts == there.announced:
        return RemoteState(RemoteKind.UPLOADED, parcel.size, parcel.sha256)
    return RemoteState(RemoteKind.PARTIAL)


def _accept(status: int, data: bytes) -> bytes:
    if status in _LOG_IN:
        raise ProviderRefused(Problem("LOGIN_REFUSED", "The print house does not let us in."))
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise ProviderRefused(Problem("ANSWER_UNKNOWN", f"The print house answered with {status}."))
    return data


def _read(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Perhaps of something that stands in between; never to be taken for an answer.
        raise unavailable("The print house's answer can't be read.") from None


def _said(data: bytes) -> _Said:
    try:
        return msgspec.json.decode(data, type=_Said)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Said()


def _incomplete(parcel: Parcel) -> ProviderRefused:
    return ProviderRefused(Problem("UPLOAD_INCOMPLETE", f"{parcel.name} did not arrive whole."))
