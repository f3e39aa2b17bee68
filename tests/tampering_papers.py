"""Tamperings with tokens, cosignatures and objects of the store, and with what is handed out itself."""

import base64
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from service.ledger import notes
from service.ledger.checkpoint import Checkpoint
from tests.ledger_support import TestAuthority
from tests.ledger_support import signer as stranger
from tests.signing_support import now
from tests.tampering_rows import Change, flip, leaves_of, rebuild, sql, truncate
from tests.tampering_support import SECOND, Scene

Document = dict[str, Any]
_TOKENS = "SELECT size, timestamp_token FROM ledger_checkpoint ORDER BY size LIMIT 2"


# --- tokens -----------------------------------------------------------------------------------------------------------


def token(change: Callable[[bytes, bytes], bytes]) -> Change:
    """Change the token of the checkpoint that proves the first delivery; the second argument is the next one's."""

    def run(scene: Scene) -> None:
        (size, first), (_, other) = scene.sql(_TOKENS)
        value = change(bytes(first), bytes(other))
        scene.sql("UPDATE ledger_checkpoint SET timestamp_token = %s WHERE size = %s", value, size)

    return run


def exchange_tokens(scene: Scene) -> None:
    rows = scene.sql(_TOKENS)
    for (size, _), (_, other) in zip(rows, reversed(rows), strict=True):
        scene.sql("UPDATE ledger_checkpoint SET timestamp_token = %s WHERE size = %s", bytes(other), size)


def strangers_token(scene: Scene) -> None:
    """A right token, by an authority that nobody trusts."""
    ((size, root),) = scene.sql("SELECT size, root FROM ledger_checkpoint ORDER BY size LIMIT 1")
    made = TestAuthority().token(Checkpoint(SECOND, size, bytes(root)).digest, at=now() - timedelta(seconds=1))
    scene.sql("UPDATE ledger_checkpoint SET timestamp_token = %s WHERE size = %s", made, size)


def later_signature(scene: Scene) -> None:
    """Signed again an hour after the time-stamp that it has."""
    keys = scene.world.signer
    for size, root, at in scene.sql("SELECT size, root, at FROM ledger_checkpoint"):
        later = at + timedelta(hours=1)
        note = keys.sign(Checkpoint(SECOND, size, bytes(root)), at=later)
        scene.sql("UPDATE ledger_checkpoint SET note = %s, at = %s WHERE size = %s", note, later, size)
        scene.head().write(note.encode())


# --- cosignatures -----------------------------------------------------------------------------------------------------


def cosignature(change: Callable[[str, str], str], *, which: int = 0) -> Change:
    """Change a line of the checkpoint that proves the first delivery, given the same key's line under the next one."""

    def run(scene: Scene) -> None:
        (key,) = scene.sql("SELECT DISTINCT key FROM ledger_cosignature ORDER BY key")[which]
        (size, first), (_, other) = scene.sql(
            "SELECT size, line FROM ledger_cosignature WHERE key = %s ORDER BY size LIMIT 2", key
        )
        value = change(first.rstrip("\n"), other.rstrip("\n")) + "\n"
        scene.sql("UPDATE ledger_cosignature SET line = %s WHERE size = %s AND key = %s", value, size, key)

    return run


def strangers_cosignatures(scene: Scene) -> None:
    """Of a witness of the same name with other keys."""
    scene.sql("DELETE FROM ledger_cosignature")
    made: list[notes.SigningKey] = [
        notes.SigningKey(scene.witness.name, kind, key)
        for kind, key in (
            (notes.KeyType.COSIGNATURE_ED25519, Ed25519PrivateKey.generate()),
            (notes.KeyType.COSIGNATURE_ML_DSA_44, MLDSA44PrivateKey.generate()),
        )
    ]
    for size, note, at in scene.sql("SELECT size, note, at FROM ledger_checkpoint"):
        for key in made:
            line = key.sign(notes.split(note)[0], at=at)
            name = f"{key.name}+{key.verifier.id.hex()}"
            scene.sql("INSERT INTO ledger_cosignature VALUES (%s, %s, %s, %s)", name, size, line, at)


# --- store ------------------------------------------------------------------------------------------------------------


def _document(scene: Scene, of: str = "digital") -> tuple[str, bytes]:
    """Path and stored bytes of a delivery's sealed document."""
    ((path,),) = scene.sql("SELECT path FROM document WHERE delivery_id = %s", getattr(scene.world, of))
    return path, scene.store.get(path, limit=1 << 26)


def stored(change: Callable[[bytes, bytes], bytes | None]) -> Change:
    """Replace a sealed document in the store, given another's; None removes it."""

    def run(scene: Scene) -> None:
        path, content = _document(scene)
        value = change(content, _document(scene, "old")[1])
        scene.store.delete_many([path])
        if value is not None:
            scene.store.put_new(path, value)

    return run


def sealed_anew(scene: Scene) -> None:
    """Another document in the vault, encrypted as it must be, and the row made to fit."""
    world = scene.world
    ((year,),) = scene.sql("SELECT retention_year FROM delivery WHERE id = %s", world.digital)
    vault, other = scene.context.vault, b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
    made = vault.prepare(world.organisation, year, world.digital, "sealed-0", other)
    vault.write(made)
    scene.sql("UPDATE document SET path = %s, sha256 = sha256(%s), size = %s WHERE delivery_id = %s",
              made.path, other, len(other), world.digital)  # fmt: skip


def head(change: Callable[[Scene, bytes], bytes | None]) -> Change:
    """Replace the signed head in the store; None removes it."""

    def run(scene: Scene) -> None:
        content = scene.head().read()
        assert content is not None
        value = change(scene, content)
        scene.store.delete_many([found.path for found in scene.store.listing() if found.path.startswith("ledger-head")])
        if value is not None:
            scene.head().write(value)

    return run


def _older(scene: Scene, _: bytes) -> bytes:
    ((note,),) = scene.sql("SELECT note FROM ledger_checkpoint ORDER BY size LIMIT 1")
    return str(note).encode()


def _strangers(_: Scene, content: bytes) -> bytes:
    text = notes.split(content.decode())[0]
    found = stranger(SECOND)
    return (text + "\n" + "".join(key.sign(text, at=now()) for key in found._keys)).encode()


def roll_back(*, store: bool) -> Change:
    """The database as it was one checkpoint earlier, and with ``store`` the head in the store too."""

    def run(scene: Scene) -> None:
        leaves = leaves_of(scene)
        truncate(leaves)
        scene.sql("DELETE FROM ledger_cosignature WHERE size > 274; DELETE FROM ledger_checkpoint WHERE size > 274")
        scene.sql("DELETE FROM evidence WHERE id IN (SELECT evidence_id FROM ledger_leaf WHERE index >= 274)")
        rebuild(scene, leaves)
        if store:
            ((note,),) = scene.sql("SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1")
            scene.head().write(note.encode())

    return run


PAPERS: Final[dict[str, tuple[Change, str]]] = {
    "all tokens removed": (sql("UPDATE ledger_checkpoint SET timestamp_token = NULL"), "V"),
    "the token of another checkpoint": (token(lambda _, other: other), "VF"),
    "tokens of two checkpoints exchanged": (exchange_tokens, "VF"),
    "a bit of a token's signature": (token(lambda first, _: first[:-1] + bytes([first[-1] ^ 1])), "VF"),
    "a token cut off": (token(lambda first, _: first[:-100]), "VF"),
    "another time in a token": (
        token(lambda first, _: re.sub(rb"(\x18.)20(?=\d\d)", rb"\g<1>19", first, count=1)), "VF"),
    "the token of an authority that nobody trusts": (strangers_token, "VF"),
    "a signature that is later than its time-stamp": (later_signature, "F"),
    "all cosignatures removed": (sql("DELETE FROM ledger_cosignature"), "V"),
    "one kind of cosignature removed": (
        sql("DELETE FROM ledger_cosignature WHERE key = (SELECT min(key) FROM ledger_cosignature)"), "V"),
    "the cosignature of another checkpoint": (cosignature(lambda _, other: other), "VF"),
    "a bit of a cosignature": (cosignature(flip(60)), "VF"),
    "another time in a cosignature": (cosignature(flip(11), which=1), "VF"),
    "the name in a cosignature": (cosignature(lambda row, _: row.replace("/w1", "/w2")), "VF"),
    "another time in a cosignature's row": (
        sql("UPDATE ledger_cosignature SET at = at - interval '1 hour'"), "F"),
    "cosignatures of a stranger of the same name": (strangers_cosignatures, "V"),
    "a sealed document removed": (stored(lambda *_: None), "F"),
    "another delivery's bytes in its place": (stored(lambda _, other: other), "F"),
    "a bit of a sealed document": (stored(lambda content, _: content[:-1] + bytes([content[-1] ^ 1])), "F"),
    "a sealed document cut off": (stored(lambda content, _: content[:500]), "F"),
    "another document, its row made to fit": (sealed_anew, "VF"),
    "the row led to another delivery's document": (
        sql("UPDATE document SET path = (SELECT path FROM document WHERE delivery_id = :p)"
            " WHERE delivery_id = :d"), "F"),
    "another digest in the document's row": (
        sql("UPDATE document SET sha256 = sha256('x') WHERE delivery_id = :d"), "F"),
    "another digest of what was handed in": (
        sql("UPDATE document SET submitted_sha256 = sha256('x') WHERE delivery_id = :d"), "F"),
    "the head in the store removed": (head(lambda *_: None), "F"),
    "an older head in the store": (head(_older), "F"),
    "a stranger's head in the store": (head(_strangers), "F"),
    "no head but noise in the store": (head(lambda *_: b"noise"), "F"),
    "the database rolled back": (roll_back(store=False), "WF"),
    "database and store rolled back together": (roll_back(store=True), "W"),
}  # fmt: skip


# --- what is handed out -----------------------------------------------------------------------------------------------


def proof(change: Callable[[list[str]], object]) -> Callable[[list[Document]], object]:
    """Change the lines of the first document's proof, the checkpoint's not counted."""

    def run(documents: list[Document]) -> None:
        head_, _, rest = documents[0]["proof"].partition("\n\n")
        lines = head_.split("\n")
        change(lines)
        documents[0]["proof"] = "\n".join(lines) + "\n\n" + rest

    return run


def between(*fields: str) -> Callable[[list[Document]], object]:
    """Give the first document these fields of the second."""
    return lambda documents: documents[0].update({name: documents[1][name] for name in fields})


def _checkpoint_in_proof(documents: list[Document]) -> None:
    """The proof ends with another signed checkpoint than the one beside it."""
    head_ = documents[0]["proof"].partition("\n\n")[0]
    documents[0]["proof"] = f"{head_}\n\n{documents[-1]['checkpoint']}"


def _both_checkpoints(documents: list[Document]) -> None:
    _checkpoint_in_proof(documents)
    documents[0]["checkpoint"] = documents[-1]["checkpoint"]
    documents[0]["timestamp_token"] = documents[-1]["timestamp_token"]


def _without_witness(documents: list[Document]) -> None:
    """Both notes without what the witness signed."""
    for name in ("proof", "checkpoint"):
        rows = documents[0][name].split("\n")
        documents[0][name] = "\n".join(row for row in rows if not row.startswith("— witness"))


SPLICES: Final[dict[str, Callable[[list[Document]], object]]] = {
    "another's proof": between("proof", "log_index", "checkpoint", "timestamp_token"),
    "another's record with its salt": between("record", "salt"),
    "another's record, salt and hash": between("record", "salt", "leaf_hash"),
    "another's salt": between("salt"),
    "another's place": between("log_index"),
    "another's place, in the proof too": lambda documents: (
        between("log_index")(documents),
        proof(lambda lines: lines.__setitem__(1, f"index {documents[1]['log_index']}"))(documents),
    ),
    "a hash of the proof left out": proof(lambda lines: lines.pop(2)),
    "two hashes of the proof exchanged": proof(lambda lines: lines.__setitem__(slice(2, 4), lines[3:1:-1])),
    "a hash of the proof twice": proof(lambda lines: lines.insert(2, lines[2])),
    "all hashes left out": proof(lambda lines: lines.__delitem__(slice(2, None))),
    "a hash that is another way to write it": proof(
        lambda lines: lines.__setitem__(2, base64.b64encode(base64.b64decode(lines[2]) + b"\0").decode())),
    "a later checkpoint in the proof alone": _checkpoint_in_proof,
    "a later checkpoint in the proof and beside it": _both_checkpoints,
    "a proof without the witness": _without_witness,
    "a record with a field of the same name twice": lambda documents: documents[0]["record"].update(event="x"),
}  # fmt: skip
