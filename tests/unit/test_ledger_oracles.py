"""The tree and its notes against others' words: the worked examples of RFC 6962, and sigstore's verifier of Rekor."""

from types import SimpleNamespace

import pytest
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import LogCheckpoint, SignedNote
from sigstore.errors import VerificationError

from service.ledger import merkle, verify
from service.ledger.checkpoint import Checkpoint
from service.ledger.errors import ProofRefused
from tests.ledger_support import NOW, ORIGIN, leaves, signer, tiles_over

SIZES = [*range(1, 40), 63, 64, 65, 127, 128, 129, 255, 256, 257, 300]
ENTRIES = [f"leaf {number}".encode() for number in range(70_000)]
ROW = leaves(300)


def sigstore_says(entry: bytes, index: int, size: int, root: bytes, proof: list[bytes]) -> bool:
    given = SimpleNamespace(log_index=index, tree_size=size, hashes=proof, root_hash=root)
    inner = SimpleNamespace(inclusion_proof=given, canonicalized_body=entry)
    try:
        verify_merkle_inclusion(SimpleNamespace(_inner=inner))  # type: ignore[arg-type]  # all that it looks at
    except VerificationError:
        return False
    return True


def we_say(entry: bytes, index: int, size: int, root: bytes, proof: list[bytes]) -> bool:
    leaf = merkle.leaf_hash(entry)
    try:
        merkle.verify_inclusion(leaf, index, size, root, proof)
    except ProofRefused:
        return False
    # The verifier that stands alone is a third.
    assert verify.root_of(leaf, index, size, proof) == root
    return True


@pytest.mark.parametrize("size", SIZES)
def test_sigstore_believes_every_proof_of_ours(size: int) -> None:
    row = ROW[:size]
    root, tiles = merkle.tree_hash(row), tiles_over(row)
    for index in range(size):
        proof = merkle.inclusion_proof(index, size, tiles)
        assert sigstore_says(ENTRIES[index], index, size, root, proof)
        assert we_say(ENTRIES[index], index, size, root, proof)


def test_sigstore_believes_proofs_over_several_levels_of_tiles() -> None:
    row = [merkle.leaf_hash(entry) for entry in ENTRIES]
    tree = merkle.GrowingTree(0, {})
    tiles = tree.extend(row)
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        proof = merkle.inclusion_proof(index, len(row), tiles)
        assert sigstore_says(ENTRIES[index], index, len(row), tree.root(), proof)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (3, 7), (6, 7), (100, 129), (128, 129)])
def test_what_sigstore_refuses_we_refuse(index: int, size: int) -> None:
    row = ROW[:size]
    root, proof = merkle.tree_hash(row), merkle.inclusion_proof(index, size, tiles_over(row))
    wrong: list[tuple[bytes, int, bytes, list[bytes]]] = [
        (b"other", index, root, proof),
        (ENTRIES[index], index, ROW[0] if size > 1 else ROW[1], proof),
        (ENTRIES[index], index, root, [*proof, ROW[0]]),
        *[(ENTRIES[index], other, root, proof) for other in range(size) if other != index],
        *[(ENTRIES[index], index, root, [*proof[:at], ROW[200], *proof[at + 1 :]]) for at in range(len(proof))],
        *[(ENTRIES[index], index, root, proof[:at]) for at in range(len(proof))],
    ]
    for entry, at, head, path in wrong:
        assert not sigstore_says(entry, at, size, head, path)
        assert not we_say(entry, at, size, head, path)


def test_sigstore_reads_our_checkpoints() -> None:
    head = Checkpoint(ORIGIN, 20852163, ROW[0])
    note = signer().sign(head, at=NOW)
    read = LogCheckpoint.from_text(note)
    assert (read.origin, read.log_size, bytes.fromhex(read.log_hash)) == (ORIGIN, head.size, head.root)
    assert [each.name for each in SignedNote.from_text(note).signatures] == [ORIGIN, ORIGIN]


def test_the_worked_example_of_rfc_6962() -> None:
    """Section 2.1.3: the tree of seven leaves, whose nodes the RFC calls by letters."""
    a, b, c, d, e, f, j = ROW[:7]
    g, h, i = merkle.node_hash(a, b), merkle.node_hash(c, d), merkle.node_hash(e, f)
    k, l_ = merkle.node_hash(g, h), merkle.node_hash(i, j)
    root = merkle.node_hash(k, l_)
    row = [a, b, c, d, e, f, j]
    tiles = tiles_over(row)
    assert merkle.tree_hash(row) == root
    paths = {0: [b, h, l_], 3: [c, g, l_], 4: [f, j, k], 6: [i, k]}
    for index, path in paths.items():
        assert merkle.inclusion_proof(index, 7, tiles) == path
    grown = {3: [c, d, g, l_], 4: [l_], 6: [i, j, k]}
    for size, path in grown.items():
        assert merkle.consistency_proof(size, 7, tiles) == path
        merkle.verify_consistency(size, merkle.tree_hash(row[:size]), 7, root, path)
