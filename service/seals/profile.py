"""A seal profile as it is written: one TOML file, ``seals/<name>.toml``, or three PEM files without one.

Secrets never stand in a profile: it names a file, or a variable of the environment.
"""

import os
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    field_validator,
    model_validator,
)

from service.seals.errors import ProfileRefused
from signing.algorithms import Mechanism
from signing.appearance.table import Table, parse
from signing.report import Level

LARGEST: Final = 64 * 1024
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a profile may be called: it is a file name, and comes from a row."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(_Part):
    """Where a secret is: a file (its text without space around it), or a variable of the environment."""

    file: Path | None = None
    env: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "Secret":
        if (self.file is None) == (self.env is None):
            raise ValueError("name a file, or a variable of the environment: one of them")
        return self

    def read(self, folder: Path) -> str:
        """The secret; relative files are in ``folder``.

        Raises:
            ProfileRefused: it is not there, or empty.
        """
        try:
            found = os.environ.get(self.env, "") if self.env else (folder / (self.file or "")).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ProfileRefused(
                "A file with a secret of the seal profile can't be read.", context={"fault": type(error).__name__}
            ) from None
        if not found.strip():
            raise ProfileRefused("A secret of the seal profile is not set, or empty.")
        return found.strip()


class _Key(_Part):
    mechanism: Mechanism | None = None

    @property
    def in_files(self) -> bool:
        """Whether the private key itself lies in a file."""
        return False

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets it needs."""
        return ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files it is made of, secrets apart."""
        return ()


class PemKey(_Key):
    """A key, its certificate and its issuers in PEM files."""

    provider: Literal["pem"]
    key: Path
    certificate: Path
    chain: Path | None = None
    password: Secret | None = None

    @property
    def in_files(self) -> bool:
        """As :class:`_Key`."""
        return True

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """As :class:`_Key`."""
        return (self.password,) if self.password else ()

    @property
    def files(self) -> tuple[Path, ...]:
        """As :class:`_Key`."""
        return (self.key, self.certificate, *([self.chain] if self.chain else []))


class Pkcs12Key(_Key):
    """Key, certificate and issuers in one PKCS#12 file."""

    provider: Literal["pkcs12"]
    file: Path
    password: Secret | None = None

    @property
    def in_files(self) -> bool:
        """As :class:`_Key`."""
        return True

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """As :class:`_Key`."""
        return (self.password,) if self.password else ()

    @property
    def files(self) -> tuple[Path, ...]:
        """As :class:`_Key`."""
        return (self.file,)


class Pkcs11Key(_Key):
    """A key in a device, by the library of its maker."""

    provider: Literal["pkcs11"]
    module: Path
    token: str | None = None
    serial: str | None = None
    label: str | None = None
    id: Annotated[str | None, Field(pattern="^([0-9a-fA-F]{2})+$")] = None
    pin: Secret
    certificate: Path | None = None
    chain: Path | None = None

    @model_validator(mode="after")
    def _named(self) -> "Pkcs11Key":
        if not self.module.is_absolute():
            raise ValueError("module is the whole path of a library")
        if self.token is None and self.serial is None:
            raise ValueError("name the token by its label (token), its serial number (serial), or both")
        if self.label is None and self.id is None:
            raise ValueError("name the key by its label, its id (in hexadecimal), or both")
        return self

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """As :class:`_Key`."""
        return (self.pin,)

    @property
    def files(self) -> tuple[Path, ...]:
        """As :class:`_Key`."""
        return tuple(each for each in (self.certificate, self.chain) if each)


class CscKey(_Key):
    """A key in a remote signing service, by the API of the Cloud Signature Consortium."""

    provider: Literal["csc"]
    url: str
    api: Literal["1.0.4", "2.0"] = "2.0"
    credential: str = Field(min_length=1)
    client_id: str | None = None
    secret: Secret
    token_url: str | None = None
    scope: Literal["service", "credential"] = "service"
    pin: Secret | None = None
    certificate: Path | None = None
    authorities: Path | None = None
    timeout_seconds: float = Field(15.0, gt=0, le=120)

    @field_validator("url", "token_url")
    @classmethod
    def _guarded(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
            if not parts.hostname or (parts.scheme != "https" and not plain):
                raise ValueError("secrets travel to this address: it begins with https://")
        return value

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """As :class:`_Key`."""
        return (self.secret, self.pin) if self.pin else (self.secret,)

    @property
    def files(self) -> tuple[Path, ...]:
        """As :class:`_Key`."""
        return tuple(each for each in (self.certificate, self.authorities) if each)


KeyPlace = PemKey | Pkcs12Key | Pkcs11Key | CscKey
_ByProvider = Annotated[KeyPlace, Field(discriminator="provider")]


class NextKey(_Part):
    """The key that takes over, and from when."""

    start: AwareDatetime = Field(alias="from")
    key: _ByProvider


class SealProfile(_Part):
    """What an organisation seals with.

    Attributes:
        key: where the key is.
        level: PAdES baseline level.
        certify: what may be changed in a document after the seal, which certifies it then (DocMDP); None: it doesn't.
        stop_days: nothing is sealed in the last days of a certificate; None takes the installation's.
        next: what takes over.
        appearance: what can be seen of the seal; None: nothing.
    """

    key: _ByProvider
    level: Literal[Level.B_B, Level.B_T, Level.B_LT, Level.B_LTA] = Level.B_T
    certify: Literal["no-changes", "forms", "comments"] | None = None
    stop_days: Annotated[float | None, Field(ge=0, le=365)] = None
    next: NextKey | None = None
    appearance: InstanceOf[Table] | None = None

    @field_validator("appearance", mode="before")
    @classmethod
    def _look(cls, value: Any) -> Any:
        return parse(value) if isinstance(value, dict) else value

    @property
    def keys(self) -> tuple[KeyPlace, ...]:
        """All keys that it names."""
        return (self.key, self.next.key) if self.next else (self.key,)

    def margin(self, usual: timedelta) -> timedelta:
        """How long before its end a certificate seals nothing more."""
        return usual if self.stop_days is None else timedelta(days=self.stop_days)


def profile_file(folder: Path, name: str) -> Path:
    """Where a profile is written."""
    return folder / f"{name}.toml"


def read_profile(folder: Path, name: str) -> SealProfile:
    """The profile called ``name``; without a TOML file it is three PEM files of that name.

    Raises:
        ProfileRefused: it can't be one; the text says for each field what to change, and never repeats a value.
    """
    if not NAME.fullmatch(name):
        raise ProfileRefused("A seal profile's name has letters, digits, dots, hyphens and underscores.")
    file = profile_file(folder, name)
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except FileNotFoundError:
        key, certificate, chain = (Path(f"{name}.{part}.pem") for part in ("key", "cert", "chain"))
        return SealProfile(key=PemKey(provider="pem", key=key, certificate=certificate, chain=chain))
    except OSError as error:
        raise ProfileRefused("The seal profile can't be read.", context={"fault": type(error).__name__}) from error
    try:
        if len(content) > LARGEST:
            raise ProfileRefused("The seal profile is no TOML: it is too long.")
        return SealProfile.model_validate(tomllib.loads(content.decode("utf-8")))
    except UnicodeDecodeError:
        raise ProfileRefused("The seal profile is no TOML: it is not written in UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ProfileRefused(f"The seal profile is no TOML{_place(error)}.") from None
    except ValidationError as error:
        sentences = [_sentence(part) for part in error.errors(include_input=False, include_url=False)]
        raise ProfileRefused(f"The seal profile can't be used: {'; '.join(sentences)}.") from None


_WORDS: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "union_tag_invalid": "has another provider than pem, pkcs12, pkcs11 or csc",
    "union_tag_not_found": "needs a provider: pem, pkcs12, pkcs11 or csc",
}
_SECRETS: Final = frozenset({"pin", "password", "secret"})


def _place(error: tomllib.TOMLDecodeError) -> str:
    """Where it is wrong; the rest of the parser's words could repeat a secret."""
    found = re.search(r"at line (\d+)", str(error))
    return f" (line {found[1]})" if found else ""


def _sentence(part: Any) -> str:
    path = [str(each) for each in part["loc"] if str(each) not in {"pem", "pkcs12", "pkcs11", "csc"}]
    where = ".".join(path) or "it"
    if path and path[-1] in _SECRETS and part["type"] != "missing":
        return f'{where} stands elsewhere: write {where} = {{ file = "…" }} or {where} = {{ env = "…" }}'
    said = _WORDS.get(part["type"]) or str(part["msg"]).removeprefix("Value error, ")
    return f"{where} {said}" if part["type"] in _WORDS else f"{where}: {said}"
