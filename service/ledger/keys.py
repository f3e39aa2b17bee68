"""The log's two private keys: Ed25519 for today's verifiers, ML-DSA-44 for the day when curves no longer hold."""

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from service.ledger import notes
from service.ledger.checkpoint import Checkpoint
from service.ledger.errors import LedgerKeysRefused
from service.ledger.head_store import sync_folder

ED25519_FILE = "ledger-ed25519.pem"
ML_DSA_44_FILE = "ledger-mldsa44.pem"


@dataclass(frozen=True, slots=True)
class LogSigner:
    """Signs the checkpoints of the log ``origin`` with both keys; the origin is also the keys' name."""

    origin: str
    ed25519: Ed25519PrivateKey
    ml_dsa_44: MLDSA44PrivateKey

    @property
    def _keys(self) -> tuple[notes.SigningKey, notes.SigningKey]:
        return (
            notes.SigningKey(self.origin, notes.KeyType.ED25519, self.ed25519),
            notes.SigningKey(self.origin, notes.KeyType.COSIGNATURE_ML_DSA_44, self.ml_dsa_44),
        )

    @property
    def verifiers(self) -> tuple[notes.VerifierKey, ...]:
        """Both public keys, the Ed25519 one first."""
        return tuple(key.verifier for key in self._keys)

    @property
    def vkeys(self) -> tuple[str, str]:
        """Both verifier keys as text, the Ed25519 one first: what is given to those who verify."""
        first, second = self._keys
        return str(first.verifier), str(second.verifier)

    def sign(self, checkpoint: Checkpoint, *, at: datetime) -> str:
        """The checkpoint as a note signed with both keys.

        Raises:
            LedgerKeysRefused: the checkpoint is another log's.
        """
        if checkpoint.origin != self.origin:
            raise LedgerKeysRefused("These keys belong to another log.", why="wrong_log")
        return notes.seal(checkpoint.text, self._keys, at=at)


def generate(folder: Path, origin: str) -> LogSigner:
    """Make both keys in ``folder`` (mode 0600, durable before it returns) and return their signer.

    A key that is already there stays; of two callers at once, both get the keys of whoever was first.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_once(folder / ED25519_FILE, Ed25519PrivateKey.generate())
    _write_once(folder / ML_DSA_44_FILE, MLDSA44PrivateKey.generate())
    return load(folder, origin)


def load(folder: Path, origin: str) -> LogSigner:
    """Read both keys from ``folder``.

    Raises:
        LedgerKeysRefused: a key is missing, of another kind, or open to other users of the machine.
    """
    first, second = _read(folder / ED25519_FILE), _read(folder / ML_DSA_44_FILE)
    if not isinstance(first, Ed25519PrivateKey) or not isinstance(second, MLDSA44PrivateKey):
        raise LedgerKeysRefused(
            f"{ED25519_FILE} must hold an Ed25519 key and {ML_DSA_44_FILE} an ML-DSA-44 key.", why="wrong_kind"
        )
    return LogSigner(origin, first, second)


def _read(path: Path) -> object:
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except OSError as error:
        raise LedgerKeysRefused(f"The ledger's key file {path.name} cannot be read.", why="unreadable") from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP):
        raise LedgerKeysRefused(
            f"The ledger's key file {path.name} is open to others: give it mode 0600.", why="open_to_others"
        )
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise LedgerKeysRefused(f"The ledger's key file {path.name} is no PEM key.", why="wrong_kind") from error


def _write_once(path: Path, key: Ed25519PrivateKey | MLDSA44PrivateKey) -> None:
    if path.exists():
        return
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # mkstemp gives mode 0600. link() fails where another process was first; rename() would replace its key.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
        sync_folder(path.parent)
    finally:
        Path(name).unlink()
