"""The service's own keys as files: those it signs access tokens and the evidence log with. Made once, then kept."""

import contextlib
import os
from pathlib import Path
from typing import Final

from service.identity.tokens import SigningKey, load_signing_key, new_signing_key_pem
from service.ledger import keys as ledger_keys
from service.ledger.keys import LogSigner
from service.settings import Settings, SettingsRefused
from service.vault.durable import write_all
from service.vault.keyring.file import FileKeyRing

TOKEN_KEY: Final = "tokens.pem"  # noqa: S105  a file name
# Keys of tokens that verify and never sign: the next one before its time, the former one after it.
TOKEN_KEYS_BESIDE: Final = ("tokens-next.pem", "tokens-former.pem")
LEDGER_KEYS: Final = "ledger"
SEALS: Final = "seals"


def make_keys(folder: Path, origin: str) -> LogSigner:
    """Make the keys a new installation needs (tokens, ledger, key ring) where they are missing; keep what is there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / TOKEN_KEY
    if not target.exists():
        _write_private(target, new_signing_key_pem())
    FileKeyRing(folder / "keyring").index_keys()
    (folder / SEALS).mkdir(exist_ok=True, mode=0o700)
    return ledger_keys.generate(folder / LEDGER_KEYS, origin)


def _write_private(target: Path, content: bytes) -> None:
    draft = target.with_suffix(f".{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with contextlib.suppress(FileExistsError):
        # Linking never overwrites: of two that start at once, both use the first one's key.
        os.link(draft, target)
    draft.unlink()


def token_keys(settings: Settings) -> list[SigningKey]:
    """The keys that may have signed an access token, the one that signs first."""
    beside = [settings.keys_folder / name for name in TOKEN_KEYS_BESIDE]
    files = [settings.keys_folder / TOKEN_KEY, *(file for file in beside if file.exists())]
    try:
        return [load_signing_key(file.read_bytes()) for file in files]
    except (OSError, ValueError):
        raise SettingsRefused(
            "ZENDING_KEYS_FOLDER has no usable key for access tokens (tokens.pem): run 'zending keys' once."
        ) from None


def log_signer(settings: Settings) -> LogSigner:
    """What signs the evidence log's checkpoints."""
    try:
        return ledger_keys.load(settings.keys_folder / LEDGER_KEYS, settings.ledger_origin)
    except Exception as error:
        raise SettingsRefused(
            "ZENDING_KEYS_FOLDER has no usable keys for the ledger (ledger/): run 'zending keys' once."
        ) from error
