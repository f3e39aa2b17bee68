"""C2SP signed notes: text under which keys sign by name.

A note is a text ending in a newline, an empty line, and signature lines
``— <name> <base64(key id ‖ signature)>``. Three kinds of key: ``ED25519`` signs the text itself; the two cosignature
kinds carry the time of signing and state that the checkpoint is the newest consistent one their holder has seen (C2SP
tlog-cosignature).
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from service.ledger import checkpoint
from service.ledger.errors import NoteRefused

MAX_SIGNATURES = 64
MAX_NOTE = 512 * 1024
_KEY_ID = 4
_TIME = 8


class KeyType(IntEnum):
    """The type byte of a key (C2SP signed-note): part of its id and of the verifier key."""

    ED25519 = 0x01
    COSIGNATURE_ED25519 = 0x04
    COSIGNATURE_ML_DSA_44 = 0x06


def check_name(name: str) -> None:
    """Refuse what can't be a key's name (C2SP signed-note) or can't stand in an ML-DSA cosignature."""
    if not name or "+" in name or any(letter.isspace() or letter < " " for letter in name):
        raise NoteRefused("A key's name is not empty and has no space and no plus sign.")
    _short(name.encode())


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name, written ``<name>+<hex key id>+<base64(type ‖ public key)>``."""

    name: str
    type: KeyType
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        try:
            _public_key(self.type, self.public)
        except ValueError as error:
            raise NoteRefused("The public key of a verifier key has the wrong form.") from error

    @property
    def id(self) -> bytes:
        """The four bytes that stand before every signature of this key."""
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:_KEY_ID]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.type]) + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a verifier key.

        Raises:
            NoteRefused: its form, its type or its id is wrong.
        """
        parts = text.strip().split("+", 2)
        if len(parts) != 3:  # noqa: PLR2004  name, id, key
            raise NoteRefused("A verifier key has the form name+id+key.")
        raw = decode_base64(parts[2])
        if not raw or raw[0] not in set(KeyType):
            raise NoteRefused("The verifier key is of a type that is not known here.")
        key = cls(parts[0], KeyType(raw[0]), raw[1:])
        if key.id.hex() != parts[1]:
            raise NoteRefused("The verifier key's id does not belong to its name and key.")
        return key


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key under a name."""

    name: str
    type: KeyType
    private: Ed25519PrivateKey | MLDSA44PrivateKey

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(self.name, self.type, self.private.public_key().public_bytes_raw())

    def sign(self, text: str, *, at: datetime) -> str:
        """The signature line (with its newline) of this key under ``text``; ``at`` enters cosignatures only.

        Raises:
            NoteRefused: a cosignature is asked over a text that is no checkpoint.
        """
        seconds = int(at.timestamp())
        signature = self.private.sign(_message(self.name, self.type, text, seconds))
        stamp = b"" if self.type is KeyType.ED25519 else seconds.to_bytes(_TIME, "big")
        return str(Signature(self.name, self.verifier.id, stamp + signature))


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line as it stands; not yet verified."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        """The line, with its newline."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature of a trusted key that holds; ``at`` is the time a cosignature carries."""

    key: VerifierKey
    at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note whose text may be believed."""

    text: str
    verified: tuple[Verified, ...]


def seal(text: str, keys: Sequence[SigningKey], *, at: datetime) -> str:
    """Sign ``text`` (which ends in a newline) with every key and return the note."""
    if not text.endswith("\n") or any(letter < " " and letter != "\n" for letter in text):
        raise NoteRefused("A note's text ends in a newline and has no other control character.")
    return text + "\n" + "".join(key.sign(text, at=at) for key in keys)


def split(note: str) -> tuple[str, list[Signature]]:
    """Take a note apart without believing it.

    Raises:
        NoteRefused: it is not of a note's form.
    """
    if len(note) > MAX_NOTE or any(letter < " " and letter != "\n" for letter in note):
        raise NoteRefused("The note is too long or has a control character.")
    at = note.rfind("\n\n")
    text, lines = note[: at + 1], note[at + 2 :]
    if at < 1 or not lines.endswith("\n"):
        raise NoteRefused("A note is a text, an empty line and at least one signature line.")
    rows = lines.removesuffix("\n").split("\n")
    if len(rows) > MAX_SIGNATURES:
        raise NoteRefused("The note has too many signatures.")
    return text, [_signature(row) for row in rows]


def open_note(note: str, keys: Sequence[VerifierKey]) -> OpenedNote:
    """Verify a note with trusted keys.

    Lines of unknown keys are ignored; a line of a known key that does not verify spoils the note.

    Raises:
        NoteRefused: malformed, a known key's signature fails, or no known key signed.
    """
    text, signatures = split(note)
    known = {(key.name, key.id): key for key in keys}
    verified: list[Verified] = []
    for signature in signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None and all(other.key != key for other in verified):
            verified.append(_verify(key, text, signature.value))
    if not verified:
        raise NoteRefused("No known key has signed this note.")
    return OpenedNote(text, tuple(verified))


def decode_base64(text: str) -> bytes:
    """Strict standard base 64 (RFC 4648 §4): padding and no stray bits.

    Raises:
        NoteRefused: the text is anything else.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteRefused("Base 64 was expected.") from error
    if base64.b64encode(raw).decode() != text:
        raise NoteRefused("Base 64 was expected in its one canonical form.")
    return raw


def _signature(row: str) -> Signature:
    parts = row.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not parts[1]:  # noqa: PLR2004  dash, name, signature
        raise NoteRefused("A signature line has the form: dash, name, signature.")
    raw = decode_base64(parts[2])
    if len(raw) <= _KEY_ID:
        raise NoteRefused("A signature line holds a key id and a signature.")
    return Signature(parts[1], raw[:_KEY_ID], raw[_KEY_ID:])


def _verify(key: VerifierKey, text: str, value: bytes) -> Verified:
    at: datetime | None = None
    seconds = 0
    if key.type is not KeyType.ED25519:
        seconds, value = int.from_bytes(value[:_TIME], "big"), value[_TIME:]
        try:
            at = datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise NoteRefused("A cosignature carries a time that does not exist.") from error
    try:
        _public_key(key.type, key.public).verify(value, _message(key.name, key.type, text, seconds))
    except InvalidSignature as error:
        raise NoteRefused("The signature of a known key does not verify.", context={"key": key.name}) from error
    return Verified(key, at)


def _public_key(kind: KeyType, public: bytes) -> Ed25519PublicKey | MLDSA44PublicKey:
    if kind is KeyType.COSIGNATURE_ML_DSA_44:
        return MLDSA44PublicKey.from_public_bytes(public)
    return Ed25519PublicKey.from_public_bytes(public)


def _message(name: str, kind: KeyType, text: str, seconds: int) -> bytes:
    """What a key of this kind signs."""
    if kind is KeyType.ED25519:
        return text.encode()
    head = checkpoint.parse(text)
    if kind is KeyType.COSIGNATURE_ED25519:
        return f"cosignature/v1\ntime {seconds}\n{text}".encode()
    return b"".join(
        (
            b"subtree/v1\n\x00",
            _short(name.encode()),
            seconds.to_bytes(8, "big"),
            _short(head.origin.encode()),
            (0).to_bytes(8, "big"),
            head.size.to_bytes(8, "big"),
            head.root,
        )
    )


def _short(value: bytes) -> bytes:
    """``opaque value<1..255>`` of RFC 8446 §3.4."""
    if not 0 < len(value) < 256:  # noqa: PLR2004
        raise NoteRefused("Names in a cosignature have 1 to 255 bytes.")
    return bytes([len(value)]) + value
