"""Signed notes, checkpoints, tile paths and proof files: the published example and every way to be malformed."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.ledger import checkpoint, notes, proof, tiles
from service.ledger.errors import NoteRefused, ProofRefused
from tests.ledger_support import NOW, ORIGIN, leaves, signer

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
TEXT = "This is an example message.\n"
LINE = (
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
HEAD = checkpoint.Checkpoint(ORIGIN, 20852163, leaves(1)[0])
WITNESS = notes.SigningKey(
    "witness.example/w1", notes.KeyType.COSIGNATURE_ED25519, Ed25519PrivateKey.from_private_bytes(b"w" * 32)
)


def flipped(line: str, at: int) -> str:
    """The signature line with one bit of its raw bytes flipped."""
    dash, name, text = line.rstrip("\n").split(" ")
    raw = bytearray(base64.b64decode(text))
    raw[at] ^= 1
    return f"{dash} {name} {base64.b64encode(bytes(raw)).decode()}\n"


def test_the_published_note_verifies() -> None:
    key = notes.VerifierKey.parse(VKEY)
    opened = notes.open_note(TEXT + "\n" + LINE, [key])
    assert opened.text == TEXT
    assert opened.verified == (notes.Verified(key, None),)
    assert str(key) == VKEY


def test_unknown_signatures_are_ignored() -> None:
    unknown = WITNESS.verifier
    line = f"— {unknown.name} {base64.b64encode(unknown.id + b'anything').decode()}\n"
    opened = notes.open_note(TEXT + "\n" + line + LINE, [notes.VerifierKey.parse(VKEY)])
    assert len(opened.verified) == 1


def test_a_known_key_that_fails_spoils_the_note() -> None:
    with pytest.raises(NoteRefused, match="does not verify"):
        notes.open_note(TEXT + "\n" + flipped(LINE, 9), [notes.VerifierKey.parse(VKEY)])
    both = signer().sign(HEAD, at=NOW)
    first, second = both.rstrip("\n").rsplit("\n", 2)[1:]
    for bad in (f"{first}\n{flipped(second, 40)}", f"{flipped(first, 40)}{second}\n"):
        with pytest.raises(NoteRefused, match="does not verify"):
            notes.open_note(HEAD.text + "\n" + bad, signer().verifiers)


def test_a_note_without_a_known_key_is_refused() -> None:
    with pytest.raises(NoteRefused, match="No known key"):
        notes.open_note(TEXT + "\n" + LINE, [WITNESS.verifier])


def test_a_repeated_signature_counts_once() -> None:
    opened = notes.open_note(TEXT + "\n" + LINE + LINE, [notes.VerifierKey.parse(VKEY)])
    assert len(opened.verified) == 1


def test_checkpoints_carry_both_of_the_logs_signatures() -> None:
    note = signer().sign(HEAD, at=NOW)
    opened = notes.open_note(note, signer().verifiers)
    assert [found.key.type for found in opened.verified] == [
        notes.KeyType.ED25519,
        notes.KeyType.COSIGNATURE_ML_DSA_44,
    ]
    assert [found.at for found in opened.verified] == [None, NOW]
    assert checkpoint.parse(opened.text) == HEAD


def test_cosignatures_cover_their_time() -> None:
    line = WITNESS.sign(HEAD.text, at=NOW)
    opened = notes.open_note(HEAD.text + "\n" + line, [WITNESS.verifier])
    assert opened.verified[0].at == NOW
    with pytest.raises(NoteRefused, match="does not verify"):
        notes.open_note(HEAD.text + "\n" + flipped(line, 11), [WITNESS.verifier])


def test_a_cosignatures_time_must_exist() -> None:
    raw = WITNESS.verifier.id + b"\xff" * 8 + bytes(64)
    line = f"— {WITNESS.name} {base64.b64encode(raw).decode()}\n"
    with pytest.raises(NoteRefused, match="time"):
        notes.open_note(HEAD.text + "\n" + line, [WITNESS.verifier])


def test_ml_dsa_signatures_bind_name_and_origin() -> None:
    key = signer()._keys[1]
    line = key.sign(HEAD.text, at=NOW)
    other = checkpoint.Checkpoint("another.example/log", HEAD.size, HEAD.root)
    with pytest.raises(NoteRefused, match="does not verify"):
        notes.open_note(other.text + "\n" + line, [key.verifier])
    renamed = notes.SigningKey("another.example/name", key.type, key.private)
    raw = base64.b64decode(line.split(" ")[2])[4:]
    moved = f"— {renamed.name} {base64.b64encode(renamed.verifier.id + raw).decode()}\n"
    with pytest.raises(NoteRefused, match="does not verify"):
        notes.open_note(HEAD.text + "\n" + moved, [renamed.verifier])


def test_only_checkpoints_are_cosigned() -> None:
    with pytest.raises(NoteRefused, match="three lines"):
        notes.seal(TEXT, [WITNESS], at=NOW)
    long_name = notes.SigningKey("w" * 256, notes.KeyType.COSIGNATURE_ML_DSA_44, signer().ml_dsa_44)
    with pytest.raises(NoteRefused, match="255"):
        notes.seal(HEAD.text, [long_name], at=NOW)


@pytest.mark.parametrize("text", ["no newline", "tab\tinside\n"])
def test_texts_that_no_note_can_hold_are_not_signed(text: str) -> None:
    with pytest.raises(NoteRefused):
        notes.seal(text, [WITNESS], at=NOW)


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT + LINE,
        TEXT + "\n",
        TEXT + "\n" + LINE.rstrip("\n"),
        TEXT + "\n" + LINE.replace("—", "-"),
        TEXT + "\n" + LINE.replace("— ", "—  "),
        TEXT + "\n" + LINE.replace("M=", "N="),
        TEXT + "\n" + LINE.replace("Uw2Q", "Uw2!"),
        TEXT + "\n— name AAAA\n",
        TEXT + "\r\n\n" + LINE,
        TEXT + "\n" + LINE * 65,
        "x" * 600_000 + "\n\n" + LINE,
    ],
)
def test_malformed_notes_are_refused(note: str) -> None:
    with pytest.raises(NoteRefused):
        notes.open_note(note, [notes.VerifierKey.parse(VKEY)])


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "example.com/foo+530d903a",
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("foo", "f oo"),
        VKEY.replace("example.com/foo", ""),
        VKEY[:-4],
        VKEY.replace("+Ae", "+Ce"),
        "example.com/foo+530d903a+",
    ],
)
def test_malformed_verifier_keys_are_refused(vkey: str) -> None:
    with pytest.raises(NoteRefused):
        notes.VerifierKey.parse(vkey)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n1\nAAAA\n",
        HEAD.text.replace("20852163", "020852163"),
        HEAD.text.replace("20852163", "-1"),
        HEAD.text.replace("20852163", "\u0661"),
        HEAD.text + "extension\n",
        HEAD.text[:-1],
        "log\n1\nAAAA\n",
        "log\n1\n!!!!\n",
        HEAD.text.replace("=\n", "\n"),
    ],
)
def test_malformed_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(NoteRefused):
        checkpoint.parse(text)


def test_the_empty_tree_has_a_checkpoint() -> None:
    empty = checkpoint.Checkpoint("log", 0, leaves(1)[0])
    assert checkpoint.parse(empty.text) == empty


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/x001/x234/067", tiles.TilePath(0, 1234067)),
        ("tile/0/000", tiles.TilePath(0, 0)),
        ("tile/1/999.p/17", tiles.TilePath(1, 999, 17)),
        ("tile/63/x001/000.p/255", tiles.TilePath(63, 1000, 255)),
    ],
)
def test_tile_paths_are_written_and_read(path: str, tile: tiles.TilePath) -> None:
    assert str(tile) == path
    assert tiles.parse(path) == tiles.parse("/" + path) == tiles.parse(path.removeprefix("tile/")) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "tile/0", "tile/00/000", "tile/64/000", "tile/0/x000/001", "tile/0/1", "tile/0/001.p/0", "tile/0/001.p/256",
        "tile/0/001.p/01", "tile/0/../000", "tile/0/\u0661\u0661\u0661", "tile/entries/000",
         "tile/0/000/", "tile/-1/000",
    ],
)  # fmt: skip
def test_a_tile_has_one_path_only(path: str) -> None:
    with pytest.raises(ProofRefused):
        tiles.parse(path)


def test_partial_tiles_are_those_of_the_specification() -> None:
    assert [str(tile) for tile in tiles.partial_tiles(70_000)] == [
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert [str(tile) for tile in tiles.partial_tiles(256)] == ["tile/1/000.p/1"]
    assert tiles.is_published(tiles.parse("tile/0/273.p/112"), 70_000)
    assert not tiles.is_published(tiles.parse("tile/0/273.p/113"), 70_000)
    assert not tiles.is_published(tiles.parse("tile/1/001"), 70_000)


def test_proof_files_are_read_as_written() -> None:
    note = signer().sign(HEAD, at=NOW)
    for extra in (None, b"anything"):
        written = proof.TlogProof(7, tuple(leaves(3)), note, extra)
        assert proof.parse(str(written)) == written
    assert str(proof.TlogProof(0, (), note)) == "c2sp.org/tlog-proof@v1\nindex 0\n\n" + note


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1\n\n",
        "c2sp.org/tlog-proof@v2\nindex 1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 01\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex -1\n\nnote",
        "c2sp.org/tlog-proof@v1\nextra !\nindex 1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\nnot base 64\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\n" + "A" * 43 + "=\n" + "note",
        "c2sp.org/tlog-proof@v1\nindex 1\n" + ("A" * 43 + "=\n") * 64 + "\nnote",
    ],
)
def test_malformed_proof_files_are_refused(text: str) -> None:
    with pytest.raises(ProofRefused):
        proof.parse(text)


def test_the_time_of_signing_is_in_whole_seconds() -> None:
    line = WITNESS.sign(HEAD.text, at=datetime(2026, 11, 2, 9, 30, 0, 999_999, tzinfo=UTC))
    assert notes.open_note(HEAD.text + "\n" + line, [WITNESS.verifier]).verified[0].at == NOW
