"""Tamperings with rows of the database: evidence, leaves, tiles, the head, checkpoints, closed logs."""

import base64
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

from service.db.ids import new_id
from service.ledger import entry, merkle
from service.ledger.checkpoint import Checkpoint
from service.ledger.keys import LogSigner
from service.usecases.sealed_evidence import place
from service.vault import crypto
from tests.ledger_support import signer as stranger
from tests.tampering_support import SECOND, Scene

Change = Callable[[Scene], object]
Leaf = tuple[uuid.UUID, bytes]
OTHER: Final = bytes(range(32))


# --- what somebody does again and again -------------------------------------------------------------------------------


def digital(scene: Scene, at: int = 1) -> uuid.UUID:
    """An evidence of the delivery that went to a mailbox."""
    return scene.evidence_ids(scene.world.digital)[at]


def record_of(scene: Scene, evidence: uuid.UUID) -> tuple[dict[str, Any], bytes]:
    """Record and salt of an evidence: whoever has the service's key ring can read them."""
    ((organisation, record, salt),) = scene.sql(
        "SELECT organisation_id, record, salt FROM evidence WHERE id = %s", evidence
    )
    opened = [
        crypto.decrypt(scene.context.keyring, value, place("evidence", organisation, column, evidence))
        for column, value in (("record", record), ("salt", salt))
    ]
    return json.loads(opened[0]), opened[1]


def put_record(scene: Scene, evidence: uuid.UUID, record: dict[str, Any], salt: bytes, *, leaf: bool = False) -> bytes:
    """Write record and salt, encrypted as they must be, and with ``leaf`` their hash in the row; the hash."""
    (((organisation, year)),) = scene.sql(
        "SELECT d.organisation_id, d.retention_year FROM evidence e JOIN delivery d ON d.id = e.delivery_id"
        " WHERE e.id = %s",
        evidence,
    )
    kek = scene.context.keyring.wrap_key(organisation, year)
    scene.sql(
        "UPDATE evidence SET record = %s, salt = %s WHERE id = %s",
        crypto.encrypt(kek, json.dumps(record).encode(), place("evidence", organisation, "record", evidence)),
        crypto.encrypt(kek, salt, place("evidence", organisation, "salt", evidence)),
        evidence,
    )
    made = entry.leaf_hash(str(record["event_key"]), salt, record) if "event_key" in record else OTHER
    if leaf:
        scene.sql("UPDATE evidence SET leaf_hash = %s WHERE id = %s", made, evidence)
    return made


def in_record(change: Callable[[dict[str, Any]], object], *, leaf: bool = False) -> Change:
    """Change the record of an evidence."""

    def run(scene: Scene) -> None:
        record, salt = record_of(scene, digital(scene))
        change(record)
        put_record(scene, digital(scene), record, salt, leaf=leaf)

    return run


def set_(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda record: record.update({name: value})


def sql(statement: str) -> Change:
    """Run a statement; ``:e0`` and ``:e1`` are evidences, ``:d`` and ``:p`` deliveries, ``:i`` the index of a leaf."""

    def run(scene: Scene) -> None:
        values = {
            ":e0": f"'{digital(scene, 0)}'::uuid",
            ":e1": f"'{digital(scene)}'::uuid",
            ":d": f"'{scene.world.digital}'::uuid",
            ":p": f"'{scene.world.paper}'::uuid",
            ":i": f"(SELECT index FROM ledger_leaf WHERE evidence_id = '{digital(scene)}')",
        }
        filled = statement
        for name, value in values.items():
            filled = filled.replace(name, value)
        scene.sql(filled)

    return run


def leaves_of(scene: Scene) -> list[Leaf]:
    return [
        (row[0], bytes(row[1])) for row in scene.sql("SELECT evidence_id, leaf_hash FROM ledger_leaf ORDER BY index")
    ]


def rebuild(scene: Scene, leaves: Sequence[Leaf]) -> None:
    """Make the whole log of these leaves: rows, tiles and head fit together; what was signed stays."""
    for name in ("ledger_leaf", "ledger_tile"):
        scene.sql(f"DELETE FROM {name}")
    for index, (evidence, leaf) in enumerate(leaves):
        scene.sql("INSERT INTO ledger_leaf (index, evidence_id, leaf_hash) VALUES (%s, %s, %s)", index, evidence, leaf)
    tree = merkle.GrowingTree(0, {})
    for (level, number), hashes in tree.extend([leaf for _, leaf in leaves]).items():
        scene.sql("INSERT INTO ledger_tile VALUES (%s, %s, %s, %s)", level, number, len(hashes) // 32, hashes)
    scene.sql("UPDATE ledger_head SET size = %s, root = %s, signed_size = least(signed_size, %s)",
              tree.size, tree.root(), tree.size)  # fmt: skip


def sign_again(scene: Scene, keys: LogSigner, *, outside: bool = False) -> None:
    """Sign every checkpoint that the leaves reach anew, as of when it was; ``outside``: forget tokens and witnesses."""
    leaves = [leaf for _, leaf in leaves_of(scene)]
    for size, at in scene.sql("SELECT size, at FROM ledger_checkpoint ORDER BY size"):
        if size > len(leaves):
            for name in ("ledger_cosignature", "ledger_checkpoint"):
                scene.sql(f"DELETE FROM {name} WHERE size = %s", size)
            continue
        head = Checkpoint(SECOND, size, merkle.tree_hash(leaves[:size]))
        note = keys.sign(head, at=at)
        scene.sql("UPDATE ledger_checkpoint SET root = %s, note = %s WHERE size = %s", head.root, note, size)
        newest = note
    scene.sql("UPDATE ledger_head SET signed_size = (SELECT max(size) FROM ledger_checkpoint)")
    if outside:
        scene.sql("UPDATE ledger_checkpoint SET timestamp_token = NULL; DELETE FROM ledger_cosignature")
    scene.head().write(newest.encode())


def rebuilt(change: Callable[[list[Leaf]], object], *, sign: bool = False, outside: bool = False) -> Change:
    """Make the whole log anew of changed leaves; with ``sign`` the log's own keys sign all of it again."""

    def run(scene: Scene) -> None:
        leaves = leaves_of(scene)
        change(leaves)
        rebuild(scene, leaves)
        if sign:
            sign_again(scene, scene.world.signer, outside=outside)

    return run


def _place_of(leaves: list[Leaf]) -> int:
    """The leaf of an evidence that somebody may ask for: of the first delivery in this log."""
    return min(4, len(leaves) - 1)


def replace_leaf(leaves: list[Leaf]) -> None:
    leaves[_place_of(leaves)] = (leaves[_place_of(leaves)][0], OTHER)


def remove_leaf(leaves: list[Leaf]) -> None:
    del leaves[200]


def swap_leaves(leaves: list[Leaf]) -> None:
    leaves[3], leaves[4] = leaves[4], leaves[3]


def insert_leaf(leaves: list[Leaf]) -> None:
    leaves.insert(1, (new_id(), OTHER))


def truncate(leaves: list[Leaf]) -> None:
    del leaves[274:]


def append_leaf(leaves: list[Leaf]) -> None:
    leaves.append((new_id(), OTHER))


def rewritten(*, sign: bool, outside: bool = False) -> Change:
    """History as somebody would have liked it: another record from the start, all of the log made to fit."""

    def run(scene: Scene) -> None:
        evidence = digital(scene)
        record, salt = record_of(scene, evidence)
        record["event_time"] = "2026-01-01T00:00:00.000000Z"
        leaf = put_record(scene, evidence, record, salt, leaf=True)
        scene.sql("UPDATE evidence SET at = '2026-01-01T00:00:00Z' WHERE id = %s", evidence)
        rebuild(scene, [(each, leaf if each == evidence else old) for each, old in leaves_of(scene)])
        if sign:
            sign_again(scene, scene.world.signer, outside=outside)

    return run


def exchange(*columns: str) -> Change:
    """Exchange columns of two evidences of one delivery."""

    def run(scene: Scene) -> None:
        one, other = digital(scene, 0), digital(scene, 1)
        for name in columns:
            scene.sql(
                f"UPDATE evidence e SET {name} = o.{name} FROM evidence o"
                " WHERE (e.id, o.id) IN ((%s::uuid, %s::uuid), (%s::uuid, %s::uuid))",
                one, other, other, one,
            )  # fmt: skip

    return run


def exchange_places(scene: Scene) -> None:
    """Each of two evidences is said to be where the other is."""
    one, other = digital(scene, 0), digital(scene, 1)
    leaves = {row[1]: (row[0], row[2]) for row in scene.sql("SELECT index, evidence_id, leaf_hash FROM ledger_leaf")}
    scene.sql("DELETE FROM ledger_leaf WHERE evidence_id IN (%s, %s)", one, other)
    for evidence, at in ((one, other), (other, one)):
        scene.sql("INSERT INTO ledger_leaf (index, evidence_id, leaf_hash) VALUES (%s, %s, %s)",
                  leaves[at][0], evidence, leaves[evidence][1])  # fmt: skip


def exchange_salts(scene: Scene) -> None:
    one, other = ((each, *record_of(scene, each)) for each in (digital(scene, 0), digital(scene, 1)))
    put_record(scene, one[0], one[1], other[2])
    put_record(scene, other[0], other[1], one[2])


def exchange_records(scene: Scene) -> None:
    one, other = ((each, *record_of(scene, each)) for each in (digital(scene, 0), digital(scene, 1)))
    put_record(scene, one[0], other[1], other[2], leaf=True)
    put_record(scene, other[0], one[1], one[2], leaf=True)


def new_salt(scene: Scene) -> None:
    put_record(scene, digital(scene), record_of(scene, digital(scene))[0], entry.new_salt())


def by_a_stranger(scene: Scene) -> None:
    sign_again(scene, stranger(SECOND))


# --- notes ------------------------------------------------------------------------------------------------------------


def note(change: Callable[[str, str], str]) -> Change:
    """Change the note of the checkpoint that proves the first delivery; the second argument is the next one's."""

    def run(scene: Scene) -> None:
        (size, first), (_, other) = scene.sql("SELECT size, note FROM ledger_checkpoint ORDER BY size LIMIT 2")
        scene.sql("UPDATE ledger_checkpoint SET note = %s WHERE size = %s", change(first, other), size)

    return run


def line(which: int, change: Callable[[str, str], str]) -> Change:
    """Change one signature line of that note, given the same line of the next one; without a line it is left out."""

    def changed(first: str, other: str) -> str:
        text, _, lines = first.rpartition("\n\n")
        rows, others = lines.splitlines(), other.rpartition("\n\n")[2].splitlines()
        rows[which] = change(rows[which], others[which])
        return text + "\n\n" + "".join(f"{row}\n" for row in rows if row)

    return note(changed)


def flip(at: int) -> Callable[[str, str], str]:
    """Flip a bit of what a line holds, at this byte."""

    def changed(row: str, _: str) -> str:
        head, _, text = row.rpartition(" ")
        raw = bytearray(base64.b64decode(text))
        raw[at] ^= 1
        return f"{head} {base64.b64encode(bytes(raw)).decode()}"

    return changed


def in_text(which: int, value: str) -> Change:
    def changed(first: str, _: str) -> str:
        rows = first.split("\n")
        rows[which] = value
        return "\n".join(rows)

    return note(changed)


def exchange_notes(scene: Scene) -> None:
    rows = scene.sql("SELECT size, note FROM ledger_checkpoint ORDER BY size LIMIT 2")
    for (size, _), (_, other) in zip(rows, reversed(rows), strict=True):
        scene.sql("UPDATE ledger_checkpoint SET note = %s WHERE size = %s", other, size)
