r"""The keys, apart from the data and encrypted: whoever steals a backup of either can read nothing.

``keys.zkb``: ``"ZKEYS\x01" | salt (16) | nonce (12) | AES-256-GCM`` over a tar of the folder of keys; the key comes
from a passphrase by scrypt (RFC 7914; N = 2^17, r = 8, p = 1).
"""

import io
import os
import tarfile
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from service.cli.backup_archive import BackupRefused, write_file
from service.vault.durable import fsync_folder

FILE: Final = "keys.zkb"
SHORTEST: Final = 16
_START: Final = b"ZKEYS\x01"
_SALT, _NONCE = 16, 12


def passphrase(file: Path) -> bytes:
    """The passphrase in a file.

    Raises:
        BackupRefused: it is not there, or too short to protect anything.
    """
    try:
        found = file.read_bytes().strip()
    except OSError as error:
        raise BackupRefused(f"The passphrase can't be read from {file} ({error.strerror}).") from None
    if len(found) < SHORTEST:
        raise BackupRefused(f"The passphrase must have at least {SHORTEST} characters.")
    return found


def save(keys: Path, target: Path, secret: bytes) -> int:
    """Write all keys, encrypted, to ``target``; returns how many files."""
    packed = io.BytesIO()
    count = 0
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for file in sorted(path for path in keys.rglob("*") if path.is_file() and not path.name.startswith(".")):
            archive.add(file, str(file.relative_to(keys)), recursive=False)
            count += 1
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    sealed = AESGCM(_key(secret, salt)).encrypt(nonce, packed.getvalue(), _START + salt)
    write_file(target / FILE, _START + salt + nonce + sealed)
    return count


def put_back(source: Path, keys: Path, secret: bytes) -> int:
    """Bring back keys that are missing; one that is there stays, and one that was destroyed stays dead.

    Raises:
        BackupRefused: the file was altered or cut off, or this is not its passphrase.
    """
    archive = _opened(source, secret)
    count = 0
    for member in archive.getmembers():
        target = keys / member.name
        inside = target.resolve().is_relative_to(keys.resolve())
        read = archive.extractfile(member) if member.isfile() and inside else None
        if read is None:
            raise BackupRefused("The backup of the keys holds something that is no key.")
        if target.exists() or target.with_suffix(".destroyed").exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(target, read.read())
        fsync_folder(target.parent)
        count += 1
    return count


def verify(source: Path, secret: bytes) -> int:
    """How many files the backup holds; errors as of `put_back`."""
    return len(_opened(source, secret).getmembers())


def _opened(source: Path, secret: bytes) -> tarfile.TarFile:
    try:
        raw = (source / FILE).read_bytes()
    except FileNotFoundError:
        raise BackupRefused(f"There is no {FILE} in {source}.") from None
    start = len(_START) + _SALT
    salt, nonce, sealed = raw[len(_START) : start], raw[start : start + _NONCE], raw[start + _NONCE :]
    try:
        packed = AESGCM(_key(secret, salt)).decrypt(nonce, sealed, _START + salt)
    except (InvalidTag, ValueError):
        raise BackupRefused(
            "The backup of the keys can't be opened: it was altered or cut off, or this is not its passphrase."
        ) from None
    return tarfile.open(fileobj=io.BytesIO(packed))


def _key(secret: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=2**17, r=8, p=1).derive(secret)
