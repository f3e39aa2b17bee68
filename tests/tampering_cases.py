"""The table of tamperings: what somebody with every right to database and store does, and who finds it.

``V`` the offline verifier (public keys of log, witness and authority), with the evidence that is handed out afterwards;
``W`` the witness, when the log goes on; ``F`` ``zending ledger fsck``. Where neither ``V`` nor ``W`` stands, nothing
false can be shown to anybody: evidence is missing, or a row that no proof rests on says something else.
"""

from tests.tampering_papers import PAPERS
from tests.tampering_rows import (
    Change,
    append_leaf,
    by_a_stranger,
    exchange,
    exchange_notes,
    exchange_places,
    exchange_records,
    exchange_salts,
    flip,
    in_record,
    in_text,
    insert_leaf,
    line,
    new_salt,
    note,
    rebuilt,
    remove_leaf,
    replace_leaf,
    rewritten,
    set_,
    sql,
    swap_leaves,
    truncate,
)

ZERO = "decode(repeat('00', 32), 'hex')"
_ALL = "ORDER BY size LIMIT 1"
_FIRST = f"(SELECT size FROM ledger_checkpoint {_ALL})"

EVIDENCE: dict[str, tuple[Change, str]] = {
    "another event": (in_record(set_("event", "ContentHandover")), "VF"),
    "another time of the event": (in_record(set_("event_time", "2026-01-01T00:00:00.000000Z")), "VF"),
    "another recipient": (in_record(lambda record: record["recipients"][0].update(id="17073003384")), "VF"),
    "a better identification": (in_record(lambda record: record["recipients"][0].update(assurance_level="high")), "VF"),
    "another sender": (in_record(lambda record: record["sender"].update(name="Another")), "VF"),
    "another document": (in_record(lambda record: record["parts"][0].update(sha256="00" * 32)), "VF"),
    "another file as handed in": (
        in_record(lambda record: record["parts"][0].update(submitted_sha256="00" * 32)), "VF"),
    "a field left out": (in_record(lambda record: record.pop("policy_id")), "VF"),
    "a field added": (in_record(set_("note", "x")), "VF"),
    "another rule": (in_record(set_("policy_id", "other")), "VF"),
    "a number for a text": (in_record(set_("version", "1")), "VF"),
    "a reason added": (in_record(set_("reasons", ["gave_up"])), "VF"),
    "another key of the event": (in_record(set_("event_key", "dlv_x/0/ContentHandover/1")), "VF"),
    "no key of the event": (in_record(lambda record: record.pop("event_key")), "VF"),
    "another event, and its hash in the row": (in_record(set_("event", "ContentHandover"), leaf=True), "VF"),
    "another salt": (new_salt, "VF"),
    "salts of two evidences exchanged": (exchange_salts, "VF"),
    "records of two evidences exchanged, with salt and hash": (exchange_records, "VF"),
    "encrypted records of two evidences exchanged": (exchange("record"), "F"),
    "encrypted salts of two evidences exchanged": (exchange("salt"), "F"),
    "hashes of two evidences exchanged": (exchange("leaf_hash"), "VF"),
    "a byte of an encrypted record": (sql("UPDATE evidence SET record = set_byte(record, 60, 0) WHERE id = :e1"), "F"),
    "an encrypted record cut off": (sql("UPDATE evidence SET record = substring(record FOR 80) WHERE id = :e1"), "F"),
    "a byte of an encrypted salt": (sql("UPDATE evidence SET salt = set_byte(salt, 60, 0) WHERE id = :e1"), "F"),
    "another hash in the row": (sql(f"UPDATE evidence SET leaf_hash = {ZERO} WHERE id = :e1"), "VF"),
    "another time in the row": (sql("UPDATE evidence SET at = at - interval '1 day' WHERE id = :e1"), "F"),
    "another event in the row": (sql("UPDATE evidence SET event = 'ContentHandover' WHERE id = :e1"), "F"),
    "another leg in the row": (sql("UPDATE evidence SET leg = 9 WHERE id = :e1"), "F"),
    "another attempt in the row": (sql("UPDATE evidence SET attempt = 9 WHERE id = :e1"), "F"),
    "an evidence removed": (sql("DELETE FROM evidence WHERE id = :e1"), "F"),
    "all evidence of a delivery removed": (sql("DELETE FROM evidence WHERE delivery_id = :d"), "F"),
    "an evidence put to another delivery": (
        sql("UPDATE evidence SET delivery_id = :p, attempt = 9999 WHERE id = :e1"), "F"),
    "an evidence with another id": (sql("UPDATE evidence SET id = gen_random_uuid() WHERE id = :e1"), "F"),
    "an evidence copied": (
        sql("INSERT INTO evidence SELECT delivery_id, gen_random_uuid(), organisation_id, leg, event, 99, at, record,"
            " salt, leaf_hash FROM evidence WHERE id = :e1"), "F"),
}  # fmt: skip

LEAVES: dict[str, tuple[Change, str]] = {
    "the hash of a leaf": (sql(f"UPDATE ledger_leaf SET leaf_hash = {ZERO} WHERE evidence_id = :e1"), "F"),
    "the hash of a leaf, and of its evidence": (
        sql(f"UPDATE ledger_leaf SET leaf_hash = {ZERO} WHERE evidence_id = :e1;"
            f" UPDATE evidence SET leaf_hash = {ZERO} WHERE id = :e1"), "VF"),
    "the last leaf removed": (sql("DELETE FROM ledger_leaf WHERE index = (SELECT max(index) FROM ledger_leaf)"), "F"),
    "a leaf removed from the middle": (sql("DELETE FROM ledger_leaf WHERE index = 100"), "F"),
    "the leaf of an evidence removed": (sql("DELETE FROM ledger_leaf WHERE evidence_id = :e1"), "VF"),
    "all leaves removed": (sql("DELETE FROM ledger_leaf"), "VF"),
    "places of two leaves exchanged": (exchange_places, "VF"),
    "a leaf given to nobody's evidence": (
        sql("UPDATE ledger_leaf SET evidence_id = gen_random_uuid() WHERE evidence_id = :e1"), "VF"),
    "a leaf given to evidence of a year that no calendar has": (
        sql("UPDATE ledger_leaf SET evidence_id = 'ffffffff-ffff-7fff-bfff-ffffffffffff' WHERE evidence_id = :e1"),
        "VF",
    ),
    "a gap between leaves": (sql("UPDATE ledger_leaf SET index = index + 1000 WHERE index > 200"), "F"),
    "a leaf appended without the tree": (
        sql(f"INSERT INTO ledger_leaf SELECT max(index) + 1, gen_random_uuid(), {ZERO} FROM ledger_leaf"), "F"),
    "a leaf that waits, of nobody's evidence": (
        sql(f"INSERT INTO ledger_pending (evidence_id, leaf_hash) VALUES (gen_random_uuid(), {ZERO})"), "F"),
}  # fmt: skip

TREE: dict[str, tuple[Change, str]] = {
    "a hash in the tile beside a leaf": (
        sql("UPDATE ledger_tile SET hashes = set_byte(hashes, cast(32 * (:i # 1) AS int), 0)"
            " WHERE level = 0 AND number = 0"), "VF"),
    "a hash in a full tile, far from it": (
        sql("UPDATE ledger_tile SET hashes = set_byte(hashes, 6400, 0) WHERE level = 0 AND number = 0"), "F"),
    "a hash in the last tile": (
        sql("UPDATE ledger_tile SET hashes = set_byte(hashes, 0, 0) WHERE level = 0 AND number = 1"), "WF"),
    "a hash of the level above": (sql("UPDATE ledger_tile SET hashes = set_byte(hashes, 0, 0) WHERE level = 1"), "WF"),
    "a full tile removed": (sql("DELETE FROM ledger_tile WHERE level = 0 AND number = 0"), "F"),
    "the last tile removed": (sql("DELETE FROM ledger_tile WHERE level = 0 AND number = 1"), "F"),
    "the level above removed": (sql("DELETE FROM ledger_tile WHERE level = 1"), "F"),
    "a full tile cut off": (
        sql("UPDATE ledger_tile SET hashes = substring(hashes FOR 3200), width = 100"
            " WHERE level = 0 AND number = 0"), "F"),
    "the last tile cut off": (
        sql("UPDATE ledger_tile SET hashes = substring(hashes FOR 320), width = 10"
            " WHERE level = 0 AND number = 1"), "F"),
    "the last tile made wider": (
        sql(f"UPDATE ledger_tile SET hashes = hashes || {ZERO}, width = width + 1"
            " WHERE level = 0 AND number = 1"), "WF"),
    "two tiles exchanged": (
        sql("UPDATE ledger_tile SET number = 9 WHERE level = 0 AND number = 0;"
            " UPDATE ledger_tile SET number = 0 WHERE level = 0 AND number = 1;"
            " UPDATE ledger_tile SET number = 1 WHERE number = 9"), "VWF"),
    "a tile beyond the log": (sql(f"INSERT INTO ledger_tile VALUES (0, 7, 1, {ZERO})"), "F"),
    "a level that there is not": (sql(f"INSERT INTO ledger_tile VALUES (3, 0, 1, {ZERO})"), "F"),
    "the head's root": (sql(f"UPDATE ledger_head SET root = {ZERO}"), "F"),
    "the head's size smaller": (sql("UPDATE ledger_head SET size = 274, signed_size = 274"), "F"),
    "the head's size larger": (sql("UPDATE ledger_head SET size = size + 5"), "F"),
    "the head's word of what is signed": (sql("UPDATE ledger_head SET signed_size = 5"), "F"),
    "the head of another log": (sql("UPDATE ledger_head SET log_origin = 'zending.invalid/log-3'"), "F"),
    "the head removed": (sql("DELETE FROM ledger_head"), "F"),
}  # fmt: skip

HISTORY: dict[str, tuple[Change, str]] = {
    "the log made anew with another leaf": (rebuilt(replace_leaf), "VWF"),
    "the log made anew without a leaf": (rebuilt(remove_leaf), "WF"),
    "the log made anew in another order": (rebuilt(swap_leaves), "VWF"),
    "the log made anew with a leaf put between": (rebuilt(insert_leaf), "VWF"),
    "the log made anew, shorter": (rebuilt(truncate), "WF"),
    "the log made anew with another record": (rewritten(sign=False), "VWF"),
    "another leaf, all signed again": (rebuilt(replace_leaf, sign=True), "VWF"),
    "a leaf left out, all signed again": (rebuilt(remove_leaf, sign=True), "WF"),
    "another order, all signed again": (rebuilt(swap_leaves, sign=True), "VWF"),
    "a leaf put between, all signed again": (rebuilt(insert_leaf, sign=True), "VWF"),
    "shorter, all signed again": (rebuilt(truncate, sign=True), "WF"),
    "another record, all signed again": (rewritten(sign=True), "VWF"),
    "another leaf, signed again without tokens and witnesses": (
        rebuilt(replace_leaf, sign=True, outside=True), "VWF"),
    "another order, signed again without tokens and witnesses": (rebuilt(swap_leaves, sign=True, outside=True), "VW"),
    "another record, signed again without tokens and witnesses": (rewritten(sign=True, outside=True), "VW"),
    "a leaf of nobody's appended and signed": (rebuilt(append_leaf, sign=True), "F"),
    "everything signed by a stranger's keys of the same name": (by_a_stranger, "VF"),
}  # fmt: skip

CHECKPOINTS: dict[str, tuple[Change, str]] = {
    "another origin in a note": (in_text(0, "zending.invalid/log-3"), "VF"),
    "another size in a note": (in_text(1, "7"), "VF"),
    "another root in a note": (in_text(2, "A" * 43 + "="), "VF"),
    "a further line in a note": (note(lambda first, _: first.replace("\n\n", "\nmore\n\n", 1)), "VF"),
    "no note": (note(lambda *_: ""), "VF"),
    "the next checkpoint's note": (note(lambda _, other: other), "VF"),
    "notes of two checkpoints exchanged": (exchange_notes, "VF"),
    "another root in the row": (sql(f"UPDATE ledger_checkpoint SET root = {ZERO} WHERE size = {_FIRST}"), "F"),
    "another time in the row": (
        sql(f"UPDATE ledger_checkpoint SET at = at - interval '1 minute' WHERE size = {_FIRST}"), "F"),
    "another size in the row": (sql(f"UPDATE ledger_checkpoint SET size = size + 1 WHERE size = {_FIRST}"), "VF"),
    "no Ed25519 signature": (line(0, lambda *_: ""), "VF"),
    "no ML-DSA signature": (line(1, lambda *_: ""), "VF"),
    "the Ed25519 signature of another": (line(0, lambda _, other: other), "VF"),
    "the ML-DSA signature of another": (line(1, lambda _, other: other), "VF"),
    "a bit of the Ed25519 signature": (line(0, flip(40)), "VF"),
    "a bit of the ML-DSA signature": (line(1, flip(2000)), "VF"),
    "another time in the ML-DSA signature": (line(1, flip(11)), "VF"),
    "the name of a key": (line(0, lambda row, _: row.replace("log-2", "log-9")), "VF"),
    "the id of a key": (line(0, flip(0)), "VF"),
    "the newest checkpoint removed": (
        sql("DELETE FROM ledger_checkpoint WHERE size = (SELECT max(size) FROM ledger_checkpoint)"), "F"),
    "all checkpoints removed": (sql("DELETE FROM ledger_checkpoint"), "VF"),
    "a checkpoint of leaves that there are not": (
        sql("INSERT INTO ledger_checkpoint SELECT 9999, root, note, at FROM ledger_checkpoint LIMIT 1"), "F"),
}  # fmt: skip

PAST: dict[str, tuple[Change, str]] = {
    "a leaf of a closed log": (sql(f"UPDATE ledger_past_leaf SET leaf_hash = {ZERO} WHERE index = 1"), "F"),
    "a leaf of a closed log removed": (sql("DELETE FROM ledger_past_leaf WHERE index = 1"), "VF"),
    "a leaf of a closed log given to another": (
        sql("UPDATE ledger_past_leaf SET evidence_id = gen_random_uuid() WHERE index = 1"), "VF"),
    "a tile of a closed log": (sql("UPDATE ledger_past_tile SET hashes = set_byte(hashes, 0, 0)"), "VF"),
    "a tile of a closed log removed": (sql("DELETE FROM ledger_past_tile"), "F"),
    "a tile too many in a closed log": (sql(f"INSERT INTO ledger_past_tile VALUES (1, 3, 0, {ZERO})"), "F"),
    "a note of a closed log": (
        sql("UPDATE ledger_past_checkpoint SET note = replace(note, E'log\n', E'lag\n')"), "VF"),
    "the time of a closed log's checkpoint": (
        sql("UPDATE ledger_past_checkpoint SET at = at - interval '1 day'"), "F"),
    "a token of a closed log": (
        sql("UPDATE ledger_past_checkpoint SET timestamp_token = set_byte(timestamp_token, 200, 0)"), "VF"),
    "tokens of a closed log exchanged": (
        sql("UPDATE ledger_past_checkpoint p SET timestamp_token ="
            " (SELECT timestamp_token FROM ledger_past_checkpoint q WHERE q.size <> p.size LIMIT 1)"), "VF"),
    "the end of a closed log": (sql(f"UPDATE ledger_past SET root = {ZERO}"), "F"),
    "the size of a closed log": (sql("UPDATE ledger_past SET size = size + 1"), "F"),
    "the link to a closed log": (sql("UPDATE ledger_past SET link = set_byte(link, 20, 65)"), "F"),
    "the last note of a closed log": (
        sql("UPDATE ledger_past SET last_note = (SELECT note FROM ledger_past_checkpoint ORDER BY size LIMIT 1)"), "F"),
    "the name of the log that follows": (sql("UPDATE ledger_past SET next_origin = 'zending.invalid/log-3'"), "F"),
    "the row of a closed log removed": (sql("DELETE FROM ledger_past"), "VF"),
}  # fmt: skip

CASES: dict[str, tuple[Change, str]] = {**EVIDENCE, **LEAVES, **TREE, **HISTORY, **CHECKPOINTS, **PAST, **PAPERS}
