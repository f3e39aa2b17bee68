"""Two private keys of a log or a witness: Ed25519 for today's verifiers, ML-DSA-44 for when curves no longer hold."""

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
_WITNESS_FILES = ("witness-ed25519.pem", "witness-mldsa44.pem")


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
    _make_pair(folder, ED25519_FILE, ML_DSA_44_FILE)
    return load(folder, origin)


def load(folder: Path, origin: str) -> LogSigner:
    """Read both keys from ``folder``.

    Raises:
        LedgerKeysRefused: a key is missing, of another kind, or open to other users of the machine.
    """
    return LogSigner(origin, *_read_pair(folder, ED25519_FILE, ML_DSA_44_FILE))


def generate_witness(folder: Path, name: str) -> tuple[notes.SigningKey, notes.SigningKey]:
    """Make both keys of the witness ``name`` in ``folder``; as ``generate``."""
    _make_pair(folder, *_WITNESS_FILES)
    return load_witness(folder, name)


def load_witness(folder: Path, name: str) -> tuple[notes.SigningKey, notes.SigningKey]:
    """Read both keys of the witness ``name``, which make cosignatures only; raises as ``load``."""
    first, second = _read_pair(folder, *_WITNESS_FILES)
    return (
        notes.SigningKey(name, notes.KeyType.COSIGNATURE_ED25519, first),
        notes.SigningKey(name, notes.KeyType.COSIGNATURE_ML_DSA_44, second),
    )


def _make_pair(folder: Path, ed25519: str, ml_dsa_44: str) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_once(folder / ed25519, Ed25519PrivateKey.generate())
    _write_once(folder / ml_dsa_44, MLDSA44PrivateKey.generate())


def _read_pair(folder: Path, ed25519: str, ml_dsa_44: str) -> tuple[Ed25519PrivateKey, MLDSA44PrivateKey]:
    first, second = _read(folder / ed25519), _read(folder / ml_dsa_44)
    if not isinstance(first, Ed25519PrivateKey) or not isinstance(second, MLDSA44PrivateKey):
        raise LedgerKeysRefused(
            f"{ed25519} must hold an Ed25519 key and {ml_dsa_44} an ML-DSA-44 key.", why="wrong_kind"
        )
    return first, second


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
