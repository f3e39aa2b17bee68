"""All settings, read once; unsafe combinations are refused at start with a sentence that says what to change.

A setting may stand in a file: ``DATABASE_URL_FILE=/run/secrets/database`` is read where ``DATABASE_URL`` would be. What
is secret is then in no list of processes, no dump of an environment and no description of a container.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MEBIBYTE = 1024 * 1024
SHORTEST_TOKEN = 16
NOT_ENCRYPTED = "PRINT_NOT_ENCRYPTED"
"""The code of a refused print house that would get letters in clear."""
_FILE = "_FILE"


class Mode(StrEnum):
    """Where the service runs: production refuses everything that is only good for a demonstration."""

    DEMO = "demo"
    PRODUCTION = "production"


class SettingsRefused(Exception):
    """The settings can't be used as they are; the text has a sentence for each that says what to change."""


class Settings(BaseSettings):
    """The service's settings; each is read from the environment variable named beside it in docs/settings.md.

    Sizes are bytes, times seconds, where nothing else is said.
    """

    model_config = SettingsConfigDict(env_prefix="ZENDING_", extra="ignore", populate_by_name=True)

    mode: Mode = Mode.PRODUCTION
    home: Path = Path(".zending")
    database_url: SecretStr = Field(validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    database_owner_url: SecretStr | None = Field(
        None, validation_alias=AliasChoices("DATABASE_OWNER_URL", "database_owner_url")
    )
    # REDIS_URL: the name from before there was a choice of brokers.
    broker_url: SecretStr = Field(validation_alias=AliasChoices("BROKER_URL", "REDIS_URL", "broker_url", "redis_url"))
    storage_url: SecretStr = Field(validation_alias=AliasChoices("STORAGE_URL", "storage_url"))
    storage_access_key: SecretStr | None = None
    storage_secret_key: SecretStr | None = None
    keys_folder: Path
    base_url: str
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    api_threads: int = Field(8, ge=1, le=256)
    api_workers: int = Field(1, ge=1, le=64)
    requests_at_once: int = Field(256, ge=8, le=65536)
    trusted_proxies: str = ""
    limits_url: SecretStr | None = None
    outgoing_hosts: str = ""
    webhook_hosts: str = ""
    event_loop: str = Field("uvloop", pattern="^(uvloop|asyncio)$")
    drain_seconds: float = Field(5.0, ge=0, le=300)
    worker_slots: int = Field(1, ge=1, le=256)

    issuer_name: str = "Zending"
    ledger_origin: str = "zending.invalid/log"
    print_sender: str = Field("ZENDING0", pattern=r"^[A-Z0-9]{8}$")

    tsa_url: str = Field(pattern=r"^\s*https?://\S+(\s+https?://\S+)*\s*$")
    trust_anchor: Path
    seal_renewal_days: int = Field(180, ge=1, le=3650)
    revocation_proxy: Annotated[str | None, Field(pattern="^https?://")] = None
    seal_stop_days: float = Field(1.0, ge=0, le=365)
    signer_anchors: Path | None = None
    signer_issuers: Path | None = None
    signer_qualified: Path | None = None
    signer_revocation: bool = True
    remote_signing_url: Annotated[str | None, Field(pattern=r"^https?://[^\s;,]+$")] = None
    remote_signing_oauth_url: Annotated[str | None, Field(pattern=r"^https?://[^\s;,?#]+$")] = None
    remote_signing_api: str = Field("2.0", pattern=r"^(1\.0\.4|2\.0)$")
    remote_signing_client_id: str | None = None
    remote_signing_client_secret: SecretStr | None = None
    remote_signing_name: str = Field("itsme", min_length=1, max_length=60)
    checkpoint_stamp_seconds: int = Field(60, ge=1)
    witnesses: str = ""

    oidc_issuer: str
    oidc_client_id: str = "zending"
    oidc_client_secret: SecretStr | None = None
    oidc_scopes: str = "openid profile"
    oidc_exchange_audiences: str = ""
    oidc_national_number_claim: str = "rrn"
    oidc_organisation_claim: str = "vo_orgcode"
    token_seconds: int = Field(600, ge=30, le=3600)
    session_seconds: int = Field(8 * 3600, ge=60)
    session_idle_seconds: int = Field(30 * 60, ge=60)

    smtp_url: SecretStr
    mail_sender: str = "Zending <no-reply@zending.invalid>"
    bounce_address: str | None = None
    bounce_maildir: Path | None = None
    quiet_hours: bool = True
    legal_bases: Path | None = None

    scanner_url: str | None = None
    allow_unscanned: bool = False
    inspection_children: int = Field(4, ge=1, le=64)
    inspection_memory: int = 1024 * MEBIBYTE
    inspection_seconds: int = Field(20, ge=1)
    validation_roots: str = ""
    own_seals: str = ""
    trusted_lists: str = ""
    trusted_list_operators: str = ""
    max_delivery_bytes: int = 30 * MEBIBYTE
    max_documents: int = 10
    max_pages: int = 300
    lookup_limit: int = 1000
    interactive_per_minute: int = Field(60, ge=0, le=100_000)
    max_submission_bytes: int = Field(10 * 1024 * MEBIBYTE, ge=1)
    max_submission_rows: int = Field(100_000, ge=1, le=500_000)
    submission_upload_seconds: int = Field(7 * 24 * 3600, ge=60)
    submission_keep_seconds: int = Field(7 * 24 * 3600, ge=0)

    print_folder: Path
    printers: Path | None = None
    print_incoming: Path | None = None
    print_cutoff_seconds: int = Field(24 * 3600, ge=1)
    print_provider: str = "directory"
    print_numbers: Path | None = None
    print_inbox_seconds: int = Field(30, ge=1, le=86_400)
    print_deadline_days: int = Field(3, ge=1, le=60)
    print_deletion_days: int = Field(30, ge=1, le=365)

    lease_seconds: int = Field(60, ge=5)
    recovery_window_seconds: int = Field(7 * 24 * 3600, ge=60)
    retention_print_days: int = Field(90, ge=1, le=36600)
    retention_content_days: int = Field(1095, ge=1, le=36600)
    retention_ended_days: int = Field(30, ge=1, le=36600)
    retention_mailbox_days: int = Field(3653, ge=1, le=36600)
    retention_lookup_days: int = Field(730, ge=1, le=36600)
    retention_webhook_days: int = Field(30, ge=7, le=3660)

    promise_seal_seconds: int = Field(60, ge=1)
    promise_mailbox_seconds: int = Field(120, ge=1)
    promise_bulk_seconds: int = Field(4 * 3600, ge=1)
    promise_hand_over_seconds: int = Field(3600, ge=1)
    end_proposal_seconds: int = Field(24 * 3600, ge=60)
    metrics_token: Annotated[SecretStr | None, Field(min_length=SHORTEST_TOKEN)] = None
    traces_url: Annotated[str | None, Field(pattern="^https?://")] = None
    traces_share: float = Field(1.0, ge=0, le=1)
    alive_file: Path | None = None
    log_format: Annotated[str, NoDecode] = Field("json", pattern="^(json|console)$")

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> "Settings":
        wrong: list[str] = []
        if self.mode is Mode.PRODUCTION:
            if (self.keys_folder / "DEMO").exists():
                wrong.append(
                    "The keys in ZENDING_KEYS_FOLDER are demonstration keys: point it at keys made for production."
                )
            if self.scanner_url is None and not self.allow_unscanned:
                wrong.append(
                    "No malware scanner is set: set ZENDING_SCANNER_URL (for example unix:///run/clamav/clamd.ctl), "
                    "or ZENDING_ALLOW_UNSCANNED=true to run without one."
                )
            if self.printers is None:
                wrong.append(
                    f"{NOT_ENCRYPTED}: without ZENDING_PRINTERS letters would lie in clear in ZENDING_PRINT_FOLDER. "
                    "Set it to a folder with a file <name>.toml for each print house, each with [encryption] and "
                    'recipients = ["age1…"], the public key of the print house (docs/printing.md, Print houses).'
                )
            if self.signer_anchors is not None and not self.signer_revocation:
                wrong.append("ZENDING_SIGNER_REVOCATION must be true in production: revoked cards could sign.")
            if not self.base_url.startswith("https://"):
                wrong.append("ZENDING_BASE_URL must start with https:// in production.")
            if not self.oidc_issuer.startswith("https://"):
                wrong.append("ZENDING_OIDC_ISSUER must start with https:// in production.")
        wrong += self._wrong_together() + self._wrong_remote_signing()
        if self.base_url.endswith("/"):
            wrong.append("ZENDING_BASE_URL must not end with a slash.")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def _wrong_together(self) -> list[str]:
        wrong = []
        if (self.storage_access_key is None) != (self.storage_secret_key is None):
            wrong.append("Set both ZENDING_STORAGE_ACCESS_KEY and ZENDING_STORAGE_SECRET_KEY, or neither.")
        if self.bounce_maildir is not None and self.bounce_address is None:
            wrong.append("ZENDING_BOUNCE_MAILDIR needs ZENDING_BOUNCE_ADDRESS: nothing comes back to it otherwise.")
        return wrong

    def _wrong_remote_signing(self) -> list[str]:
        if self.remote_signing_url is None:
            return []
        wrong = []
        if None in (self.remote_signing_client_id, self.remote_signing_client_secret, self.signer_anchors):
            wrong.append(
                "ZENDING_REMOTE_SIGNING_URL needs ZENDING_REMOTE_SIGNING_CLIENT_ID, "
                "ZENDING_REMOTE_SIGNING_CLIENT_SECRET and ZENDING_SIGNER_ANCHORS."
            )
        addresses = (self.remote_signing_url, self.remote_signing_oauth_url or "https:")
        if self.mode is Mode.PRODUCTION and not all(each.startswith("https:") for each in addresses):
            wrong.append("ZENDING_REMOTE_SIGNING_URL and …_OAUTH_URL must start with https:// in production.")
        return wrong

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies may travel over TLS only: wherever people come by https."""
        return self.base_url.startswith("https://")


def read_settings(**values: Any) -> Settings:
    """Read the settings from the environment.

    Args:
        values: settings that win over the environment (tests).

    Raises:
        SettingsRefused: one is missing, malformed or unsafe; the text names each variable and what to change, and
            never repeats a value.
    """
    from_files: dict[str, Any] = _from_files(os.environ)
    try:
        return Settings(**{name: value for name, value in from_files.items() if name not in values}, **values)
    except ValidationError as error:
        raise SettingsRefused("\n".join(_sentence(part) for part in error.errors(include_input=False))) from None


def read_variable(name: str, given: Mapping[str, str] | None = None) -> str | None:
    """A variable's value, or the text of the file that ``NAME_FILE`` names; None where neither is set.

    Raises:
        SettingsRefused: both are set, or the file can't be read.
    """
    environment = os.environ if given is None else given
    file = environment.get(name + _FILE)
    if not file:
        return environment.get(name)
    if environment.get(name):
        raise SettingsRefused(f"Both {name} and {name}{_FILE} are set: unset one.") from None
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"The file that {name}{_FILE} names can't be read ({type(error).__name__}).") from None


def variables(name: str) -> tuple[str, ...]:
    """The environment variables of a setting, the one that the documentation tells of first."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices if str(choice).isupper())
    return (f"ZENDING_{name.upper()}",)


def _from_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that stand in files, by the setting's name."""
    found = {}
    for name in Settings.model_fields:
        known = variables(name)
        given = [each for variable in known for each in (variable, variable + _FILE) if environment.get(each)]
        for variable in known:
            if variable + _FILE in given:
                if len(given) > 1:
                    raise SettingsRefused(f"Both {' and '.join(given)} are set: unset one.") from None
                found[name] = read_variable(variable, environment) or ""
    return found


def _sentence(part: Any) -> str:
    name = str(part["loc"][0]) if part["loc"] else ""
    if not name:
        return str(part["msg"]).removeprefix("Value error, ")
    variable = name if name.isupper() else f"ZENDING_{name.upper()}"
    if part["type"] == "missing":
        return f"{variable} is not set."
    return f"{variable} can't be used: {part['msg']}."


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read at the first call."""
    return read_settings()
