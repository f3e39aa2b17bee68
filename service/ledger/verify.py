"""Verify an evidence file without the service that made it: needs Python 3.11 and ``cryptography`` 50, nothing else.

    python verify.py evidence.json --key VKEY [--key VKEY2] [--tsa-ca CA.pem]

It shares no code with the log it verifies. Formats: RFC 6962 (tree), RFC 8785 (canonical JSON), C2SP signed-note,
tlog-checkpoint, tlog-cosignature, tlog-proof; RFC 3161 and RFC 5652 (time-stamp token).
"""

import argparse
import base64
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import new, sha256
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

HASH_OIDS = {"608648016503040201": "SHA256", "608648016503040202": "SHA384", "608648016503040203": "SHA512"}
SIGNED_DATA, TST_INFO, PSS = "2a864886f70d010702", "2a864886f70d0109100104", "2a864886f70d01010a"
CONTENT_TYPE, DIGEST, SIGNER = "2a864886f70d010903", "2a864886f70d010904", "2a864886f70d010910022f"
KEYS = {1: "Ed25519", 4: "Ed25519, time-stamped", 6: "ML-DSA-44, time-stamped"}


class Check(NamedTuple):
    """One thing that was looked at; ``ok`` is None for what was not checked."""

    name: str
    ok: bool | None
    detail: str


def need(condition: object, otherwise: str, then: str = "") -> str:
    """Refuse with ``otherwise`` unless ``condition`` holds; say ``then`` when it does."""
    if not condition:
        raise ValueError(otherwise)
    return then


def canonical(value: object) -> str:
    """Canonical JSON (RFC 8785) of text, whole numbers, truth values, null, lists and objects."""
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"
    simple = value is None or isinstance(value, str) or (isinstance(value, int) and abs(value) < 2**53)
    need(simple, "the record holds a value that has no canonical form")
    return json.dumps(value, ensure_ascii=False)


def leaf_of(document: Mapping[str, Any]) -> bytes:
    """The leaf hash: over the log's entry, which is the record's event key and its salted digest."""
    record, salt = document["record"], bytes.fromhex(document["salt"])
    need(len(salt) == 32 and isinstance(record["event_key"], str), "the salt has 32 bytes, the event key is text")  # noqa: PLR2004
    digest = sha256(salt + canonical(record).encode()).hexdigest()
    entry = canonical({"digest": digest, "event_key": record["event_key"]})
    return sha256(b"\0" + entry.encode()).digest()


def root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root to which an inclusion proof leads (RFC 9162 §2.1.3.2)."""
    need(0 <= index < size, "the tree has no leaf with this index")
    last, value = size - 1, leaf
    for sibling in path:
        need(last, "the inclusion proof is too long")
        right = index & 1 or index == last
        value = sha256(b"\1" + (sibling + value if right else value + sibling)).digest()
        while right and index and not index & 1:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    need(not last, "the inclusion proof is too short")
    return value


def unbase64(text: str, size: int | None = None) -> bytes:
    """Strict base 64 of ``size`` bytes."""
    raw = base64.b64decode(text, validate=True)
    need(base64.b64encode(raw).decode() == text and size in {None, len(raw)}, "base 64 is not as it must be")
    return raw


def parse_checkpoint(note: str) -> tuple[str, str, int, bytes]:
    """Text, origin, size and root of a checkpoint; nothing is believed yet."""
    text = note[: note.rfind("\n\n") + 1]
    lines = text.split("\n")
    three = len(lines) == 4 and lines[0] and not lines[3] and lines[1] == str(int(lines[1]))  # noqa: PLR2004
    need(three, "the checkpoint is not three lines: origin, size, root")
    return text, lines[0], int(lines[1]), unbase64(lines[2], 32)


def check_key(note: str, vkey: str) -> str:
    """Verify what one key signed under a checkpoint."""
    text, origin, size, root = parse_checkpoint(note)
    name, key_id, encoded = vkey.strip().split("+", 2)
    raw = unbase64(encoded)
    kind = raw[0]
    need(sha256(f"{name}\n".encode() + raw).hexdigest()[:8] == key_id, "the verifier key contradicts itself")
    need(kind in KEYS, "keys of this type are not known here")
    rows = [row.split(" ") for row in note[len(text) + 1 :].split("\n")]
    lines = [unbase64(row[2]) for row in rows if len(row) == 3 and row[:2] == ["—", name]]  # noqa: PLR2004
    signatures = [line[4:] for line in lines if line[:4].hex() == key_id]
    need(signatures, f"{name} ({KEYS[kind]}) has not signed this checkpoint")
    for signature in signatures:
        stamp = signature[: 0 if kind == 1 else 8]
        seconds = int.from_bytes(stamp, "big")
        names = [bytes([len(part)]) + part for part in (name.encode(), origin.encode())]
        subtree = b"subtree/v1\n\0" + names[0] + stamp + names[1] + bytes(8) + size.to_bytes(8, "big") + root
        messages = {1: text, 4: f"cosignature/v1\ntime {seconds}\n{text}", 6: ""}
        key: Any = mldsa.MLDSA44PublicKey if kind == 6 else ed25519.Ed25519PublicKey  # noqa: PLR2004
        key.from_public_bytes(raw[1:]).verify(signature[len(stamp) :], messages[kind].encode() or subtree)
        when = f" at {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC" if stamp else ""
    return f"signed by {name} ({KEYS[kind]}){when}"


def der(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """The elements of a DER value: tag, content and the whole element."""
    found = []
    while data:
        size, start = data[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[2:start], "big")
        need(start + size <= len(data), "the time-stamp token is cut off")
        found.append((data[0], data[start : start + size], data[: start + size]))
        data = data[start + size :]
    return found


def inside(data: bytes, *path: int) -> bytes:
    """The content of an element, found by the positions that lead to it."""
    for at in path:
        data = der(data)[at][1]
    return data


def check_token(token: bytes, text: str, issuers: list[x509.Certificate]) -> str:
    """Verify an RFC 3161 token: imprint, signature, certificate; where CAs are given, that one of them issued it."""
    signed = der(inside(token, 0, 1, 0))
    kinds = inside(token, 0, 0).hex(), inside(signed[2][1], 0).hex()
    need(kinds == (SIGNED_DATA, TST_INFO), "this is no time-stamp token")
    info = inside(signed[2][1], 1, 0)
    same = inside(info, 0, 2, 1) == sha256(text.encode()).digest() and inside(info, 0, 2, 0, 0).hex() in HASH_OIDS
    need(same, "the token is over something else than this checkpoint")
    when = datetime.strptime(inside(info, 0, 4)[:14].decode() + "+0000", "%Y%m%d%H%M%S%z")
    certificates = [x509.load_der_x509_certificate(raw) for _, _, raw in der(signed[3][1])]
    signer = der(inside(signed[-1][1], 0))
    attributes = {inside(item, 0).hex(): inside(item, 1) for _, item, _ in der(signer[3][1])}
    digest = HASH_OIDS[inside(signer[2][1], 0).hex()]
    fits = inside(attributes[DIGEST], 0) == new(digest, info).digest()
    need(fits and inside(attributes[CONTENT_TYPE], 0).hex() == TST_INFO, "the signature is over other content")
    own = [found for found in certificates if found.fingerprint(hashes.SHA256()) in attributes[SIGNER]]
    need(len(own) == 1, "the token does not carry the certificate it names")
    usage = own[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    need(ExtendedKeyUsageOID.TIME_STAMPING in usage, "the certificate is not for time-stamping")
    key: Any = own[0].public_key()
    algorithm = getattr(hashes, digest)()
    pss = inside(signer[4][1], 0).hex() == PSS
    scheme = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO) if pss else padding.PKCS1v15()
    how: list[Any] = [scheme, algorithm] if isinstance(key, rsa.RSAPublicKey) else []
    how = [ec.ECDSA(algorithm)] if isinstance(key, ec.EllipticCurvePublicKey) else how
    # The signature covers the attributes as a SET (RFC 5652 §5.4).
    key.verify(signer[5][1], b"\x31" + signer[3][2][1:], *how)
    valid = own[0].not_valid_before_utc <= when <= own[0].not_valid_after_utc
    need(valid, "the authority's certificate was not valid at the time it states")
    vouching = [issuer for issuer in issuers if issuer.subject == own[0].issuer]
    need(vouching or not issuers, "none of the trusted CAs issued the authority's certificate")
    for issuer in vouching[:1]:
        own[0].verify_directly_issued_by(issuer)
    return f"existed at {when:%Y-%m-%d %H:%M:%S} UTC, says {own[0].subject.rfc4514_string()}"


def attempt(name: str, what: Callable[[], str]) -> Check:
    """Run one check; whatever is wrong with a foreign file is a failed check, never a crash."""
    try:
        return Check(name, True, what())
    except Exception as error:  # noqa: BLE001  a foreign file can be wrong in any way
        said = str(error) if isinstance(error, ValueError) else ""
        return Check(name, False, said or f"malformed or not fitting ({type(error).__name__})")


def check_inclusion(document: Mapping[str, Any], log_names: set[str]) -> str:
    """Check that proof, index and checkpoint belong together and lead from the record to the root."""
    need(document["proof"] is not None, "not published yet: there is no proof")
    head, _, note = document["proof"].partition("\n\n")
    version, *lines = [line for line in head.split("\n") if not line.startswith("extra ")]
    need(version == "c2sp.org/tlog-proof@v1", "the proof is not of the form c2sp.org/tlog-proof@v1")
    _, origin, size, root = parse_checkpoint(note)
    index, path = int(document["log_index"]), [unbase64(line, 32) for line in lines[1:]]
    together = note == document["checkpoint"] and lines[0] == f"index {json.dumps(document['log_index'])}"
    need(together, "proof, index and checkpoint do not belong together")
    need(origin in log_names, f"the log is {origin}, and no key of it was given")
    need(root_of(leaf_of(document), index, size, path) == root, "the record is not in the log at this place")
    return f"leaf {index} of {size} in the log {origin}"


def verify_evidence(
    document: Mapping[str, Any], vkeys: Iterable[str], tsa_issuers: Iterable[x509.Certificate] = ()
) -> list[Check]:
    """Every check of one evidence document; it holds when none has ``ok`` False.

    Every key of ``vkeys`` must have signed, a witness's too, and one must be the log's; so must one of ``tsa_issuers``.
    """
    keys, issuers, token = list(vkeys), list(tsa_issuers), document.get("timestamp_token")
    names = {key.strip().split("+")[0] for key in keys}
    bad, good = "record or salt was changed: the leaf hash differs", "record and salt give the leaf hash"
    checks = [
        attempt("record", lambda: need(leaf_of(document).hex() == document["leaf_hash"], bad, good)),
        attempt("inclusion", lambda: check_inclusion(document, names)),
        *[attempt("checkpoint", lambda key=key: check_key(document["checkpoint"], key)) for key in keys],  # type: ignore[misc]
    ]
    if token is None:
        return [*checks, Check("time-stamp", False if issuers else None, "no token: the time rests on the log's word")]
    text = str(document.get("checkpoint")).rpartition("\n\n")[0] + "\n"
    checks.append(attempt("time-stamp", lambda: check_token(unbase64(token), text, issuers)))
    return checks if issuers else [*checks, Check("authority", None, "whether to trust it (give --tsa-ca)")]


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated names, which two readers could understand differently."""
    need(len(dict(pairs)) == len(pairs), "a name occurs twice in the file")
    return dict(pairs)


def main(arguments: list[str] | None = None) -> int:
    """Print one line per check; 0 when nothing failed, 1 when something did, 2 for a wrong call."""
    parser = argparse.ArgumentParser(description="Verify an evidence file offline.")
    parser.add_argument("evidence", type=Path, help="the JSON file")
    parser.add_argument("--key", action="append", required=True, metavar="VKEY", help="a key that must have signed")
    parser.add_argument("--tsa-ca", type=Path, metavar="PEM", help="CAs whose time-stamp authorities are trusted")
    options = parser.parse_args(arguments)
    try:
        document = json.loads(options.evidence.read_text("utf-8"), object_pairs_hook=once)
        issuers = x509.load_pem_x509_certificates(options.tsa_ca.read_bytes()) if options.tsa_ca else []
        checks = verify_evidence(dict(document), options.key, issuers)
    except (OSError, ValueError, TypeError) as error:
        checks = [Check("file", False, str(error))]
    for name, ok, detail in checks:
        sys.stdout.write(f"{ {True: 'ok', False: 'FAILED', None: 'not checked'}[ok]:<12}{name}: {detail}\n")
    return int(any(check.ok is False for check in checks))


if __name__ == "__main__":
    sys.exit(main())
