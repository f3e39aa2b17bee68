"""``zending verify``: sealed documents and evidence judged offline, with public keys only."""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from cryptography import x509

from service.ledger.verify import Check, verify_evidence
from signing.errors import SigningError
from signing.report import Report, Verdict
from signing.timestamps import verify_token
from signing.trust import load_certificates
from signing.validate import validate

_WORDS = {True: "ok", False: "FAILED", None: "not checked"}
_SENTENCES = {
    Verdict.VALID: "Sealed and unchanged.",
    Verdict.INDETERMINATE: "This can't be confirmed.",
    Verdict.MODIFIED: "Changed after it was sealed.",
    Verdict.INVALID: "The seal is not valid.",
}


@dataclass(frozen=True)
class Trust:
    """What the verifier believes: roots of certificates, and keys of the ledger."""

    roots: Sequence[x509.Certificate]
    ledger_keys: Sequence[str]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--trust",
    "anchors",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of certificates to trust; ZENDING_TRUST_ANCHOR when left out.",
)
@click.option("--key", "keys", multiple=True, help="Verifier key of the ledger; may be given twice.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(files: tuple[Path, ...], anchors: tuple[Path, ...], keys: tuple[str, ...], *, as_json: bool) -> None:
    """Check sealed PDFs and evidence files, offline.

    Given together, they are also held against one another: the evidence must name the PDF by its SHA-256. Beside a demo
    its trust anchor and ledger key are used when none are given.
    """
    trust = _trust(anchors, keys)
    results: list[tuple[Path, list[Check]]] = []
    digests: dict[Path, str] = {}
    records: dict[Path, dict[str, Any]] = {}
    for file in files:
        content = file.read_bytes()
        if content[:1024].lstrip().startswith(b"%PDF"):
            digests[file] = hashlib.sha256(content).hexdigest()
            results.append((file, _check_pdf(content, trust)))
        else:
            checks, record = _check_evidence(content, trust)
            results.append((file, checks))
            records[file] = record
    if digests and records:
        results += [(file, [_named(digest, records)]) for file, digest in digests.items()]
    _tell(results, as_json=as_json)
    if any(check.ok is False for _, checks in results for check in checks):
        raise SystemExit(1)


def _trust(anchors: tuple[Path, ...], keys: tuple[str, ...]) -> Trust:
    demo = Path(os.environ.get("ZENDING_HOME", ".zending")) / "demo.json"
    if (not anchors or not keys) and demo.is_file():
        known = json.loads(demo.read_text("utf-8"))
        if not anchors:
            anchors = (Path(known["trust_anchor"]),)
            click.echo("Trusting the running demo's certificates: they are fictional.", err=True)
        keys = keys or (known["ledger_key"],)
    if not anchors and (anchor := os.environ.get("ZENDING_TRUST_ANCHOR")):
        anchors = (Path(anchor),)
    if not anchors:
        raise click.UsageError("give --trust FILE.pem: the certificates of the authorities that you believe.")
    try:
        roots = [certificate for anchor in anchors for certificate in load_certificates(anchor)]
    except (OSError, ValueError, SigningError) as error:
        raise click.UsageError("the file of --trust holds no PEM certificates that can be read.") from error
    return Trust(roots, keys)


def _check_pdf(content: bytes, trust: Trust) -> list[Check]:
    report = validate(content, trust_roots=trust.roots, at=datetime.now(UTC))
    checks = [_sealed(report)]
    for signature in report.signatures:
        good = signature.verdict is Verdict.VALID
        told = [f"by {signature.signer}" if signature.signer else "by somebody unknown"]
        if signature.time is not None:
            told.append(f"existed at {signature.time:%Y-%m-%d %H:%M:%S} UTC")
        if signature.level is not None:
            told.append(f"PAdES {signature.level.value}")
        if signature.code is not None:
            told.append(signature.code)
        # A signature that was there before ours and leads elsewhere is told, and fails nothing by itself.
        ok = True if good else (None if signature.verdict is Verdict.INDETERMINATE else False)
        checks.append(Check(f"signature {signature.field}", ok, ", ".join(told)))
    return [*checks, Check("revocation", None, "whether a certificate was revoked")]


def _sealed(report: Report) -> Check:
    """The newest signature must be a valid one with a proven time: that is how this service seals."""
    last = report.last
    if last is None:
        return Check("seal", False, "there is no seal in this PDF")
    if last.verdict is not Verdict.VALID:
        return Check("seal", False, f"{_SENTENCES[last.verdict]} ({last.code})")
    if last.time is None:
        return Check("seal", False, "the newest signature has no proven time, so it is no seal of this service")
    return Check("seal", True, _SENTENCES[last.verdict])


def _check_evidence(content: bytes, trust: Trust) -> tuple[list[Check], dict[str, Any]]:
    try:
        document = json.loads(content)
    except (ValueError, UnicodeDecodeError):
        return [Check("file", False, "this is neither a PDF nor an evidence file")], {}
    if not isinstance(document, dict) or not isinstance(document.get("record"), dict):
        return [Check("file", False, "this is no evidence file: it has no record")], {}
    if not trust.ledger_keys:
        return [Check("ledger", False, "no key of the ledger was given (--key)")], document["record"]
    if document.get("proof") is None:
        return [Check("published", False, "not in a published checkpoint yet: fetch it again in a moment")], {}
    checks = [check for check in verify_evidence(document, trust.ledger_keys) if check.name != "authority"]
    if document.get("timestamp_token") is not None:
        checks.append(_authority(document, trust))
    return checks, document["record"]


def _authority(document: dict[str, Any], trust: Trust) -> Check:
    text = str(document.get("checkpoint")).rpartition("\n\n")[0] + "\n"
    try:
        moment = verify_token(base64.b64decode(document["timestamp_token"]), text.encode(), trust.roots)
    except (SigningError, ValueError, TypeError):
        return Check("authority", False, "the time-stamp is not by an authority that you trust")
    return Check("authority", True, f"a trusted authority says it existed at {moment:%Y-%m-%d %H:%M:%S} UTC")


def _named(digest: str, records: dict[Path, dict[str, Any]]) -> Check:
    for record in records.values():
        if any(isinstance(part, dict) and part.get("sha256") == digest for part in record.get("parts", ())):
            return Check("belongs together", True, f"the evidence of {record.get('event')} names this PDF")
    return Check("belongs together", False, "no evidence given here names this PDF")


def _tell(results: Sequence[tuple[Path, list[Check]]], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"file": str(file), "check": check.name, "ok": check.ok, "detail": check.detail}
            for file, checks in results
            for check in checks
        ]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    for file, checks in results:
        click.echo(file)
        for check in checks:
            click.echo(f"  {_WORDS[check.ok]:<12}{check.name}: {check.detail}")
