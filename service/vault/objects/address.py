"""From the address of a store (setting ``STORAGE_URL``) to the store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import MemoryStore, S3Store

from service.vault.errors import StoreMisconfigured
from service.vault.objects.base import ObjectStore
from service.vault.objects.local import LocalFolder
from service.vault.objects.remote import RemoteStore

if TYPE_CHECKING:
    from obstore.store import S3Config

_S3_OPTIONS: Final = {
    "endpoint": "",
    "region": "",
    "virtual_hosted": "no",
    "allow_http": "no",
    "checksum": "yes",
    "read_back": "yes",
    "timeout": "20",
    "connect_timeout": "3",
    "retries": "3",
    "retry_timeout": "30",
}
_FILE_OPTIONS: Final = {"create": "yes", "shared": "no"}
_MEMORY_OPTIONS: Final[dict[str, str]] = {}
_LARGEST_NUMBER: Final = 300.0
_BOOLEANS: Final = {"yes": True, "no": False}


def open_store(url: str, *, allow_memory: bool = False, credentials: tuple[str, str] | None = None) -> ObjectStore:
    """The store at ``url``; for this process and its threads only, so open it after forking.

    - ``file:///var/lib/zending/objects?create=no``: a folder; ``create`` (default yes) says whether it may be made;
      ``shared`` (default no) that several machines see the same folder there.
    - ``s3://bucket/folder?endpoint=https://s3.example.be&region=eu-west-1``: besides ``virtual_hosted`` (default no:
      the bucket stands in the path), ``allow_http`` (no), ``checksum`` (yes: SHA-256 of each upload, checked by the
      store), ``read_back`` (yes: each upload is read again before it counts), ``timeout``, ``connect_timeout``,
      ``retry_timeout`` (seconds) and ``retries``. ``credentials`` (name, secret), or else the environment
      (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, or what the platform offers) say who we are, never the
      address: addresses end up in process lists and logs.
    - ``memory:``: forgets everything; for tests, and refused unless ``allow_memory``.

    Raises:
        StoreMisconfigured: unknown scheme or option, a secret in the address, plain HTTP without ``allow_http``, or a
            folder that is not there.
        StoreUnreachable: the folder cannot be made or read. S3 is asked at its first use.
    """
    parts = urlsplit(url)
    # Not the address itself in any of these texts: a secret may stand in it by mistake.
    if parts.username is not None or parts.password is not None:
        raise StoreMisconfigured("The address of the document store holds credentials.")
    if parts.scheme == "file":
        options = _options(parts.query, _FILE_OPTIONS)
        if parts.netloc or not parts.path.startswith("/"):
            raise StoreMisconfigured("The folder of the document store must be an absolute path: file:///...")
        return LocalFolder(Path(unquote(parts.path)), create=_yes(options, "create"))
    if parts.scheme == "s3":
        options = _options(parts.query, _S3_OPTIONS)
        opened = _s3(parts.netloc, parts.path.strip("/"), options, credentials)
        return RemoteStore(opened, read_back=_yes(options, "read_back"))
    if parts.scheme == "memory" and allow_memory:
        _options(parts.query, _MEMORY_OPTIONS)
        return RemoteStore(MemoryStore())
    raise StoreMisconfigured("The address of the document store has a scheme that is not supported here.")


def is_for_one_machine(url: str) -> bool:
    """Whether what one machine stores there can't be read by another: a folder that is not said to be shared.

    Raises:
        StoreMisconfigured: an option that does not exist, or that is neither yes nor no.
    """
    parts = urlsplit(url)
    return parts.scheme == "file" and not _yes(_options(parts.query, _FILE_OPTIONS), "shared")


def is_there(url: str) -> bool:
    """Whether the store can be opened as far as this machine can tell: a folder must exist, S3 is asked at its use."""
    parts = urlsplit(url)
    return parts.scheme != "file" or LocalFolder.is_at(Path(unquote(parts.path)))


def _s3(bucket: str, folder: str, options: dict[str, str], credentials: tuple[str, str] | None) -> S3Store:
    plain, may_be_plain = options["endpoint"].startswith("http://"), _yes(options, "allow_http")
    if not bucket:
        raise StoreMisconfigured("The address of the document store names no bucket.")
    if options["endpoint"] and not options["endpoint"].startswith(("http://", "https://")):
        raise StoreMisconfigured("The endpoint of the document store begins with https://.")
    if plain and not may_be_plain:
        raise StoreMisconfigured("The document store is addressed over plain HTTP, which is not allowed.")
    config: S3Config = {"virtual_hosted_style_request": _yes(options, "virtual_hosted")}
    if credentials is not None:
        config["access_key_id"], config["secret_access_key"] = credentials
    if options["endpoint"]:
        config["endpoint"] = options["endpoint"]
    if options["region"]:
        config["region"] = options["region"]
    if _yes(options, "checksum"):
        config["checksum_algorithm"] = "SHA256"
    try:
        return S3Store(
            bucket,
            prefix=folder or None,
            config=config,
            client_options={
                "allow_http": plain,
                "timeout": _seconds(options, "timeout"),
                "connect_timeout": _seconds(options, "connect_timeout"),
            },
            retry_config={
                "max_retries": int(_number(options, "retries")),
                "retry_timeout": _seconds(options, "retry_timeout"),
            },
        )
    except (BaseError, ValueError) as error:
        raise StoreMisconfigured("The options of the document store are not accepted.") from error


def _options(query: str, defaults: dict[str, str]) -> dict[str, str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    if not given.keys() <= defaults.keys():
        raise StoreMisconfigured("The address of the document store has an option that does not exist.")
    return {**defaults, **given}


def _yes(options: dict[str, str], name: str) -> bool:
    value = _BOOLEANS.get(options[name])
    if value is None:
        raise StoreMisconfigured(f"The option {name} of the document store is yes or no.")
    return value


def _seconds(options: dict[str, str], name: str) -> timedelta:
    return timedelta(seconds=_number(options, name))


def _number(options: dict[str, str], name: str) -> float:
    try:
        value = float(options[name])
    except ValueError:
        value = -1.0
    if not 0 <= value <= _LARGEST_NUMBER:
        raise StoreMisconfigured(f"The option {name} of the document store is no number between 0 and 300.")
    return value
