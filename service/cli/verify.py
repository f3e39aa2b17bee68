"""``zending verify``: sealed documents and evidence judged offline, with public keys only."""

import base64
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from service.cli.verify_pdf import FORMS, Judging, written
from service.ledger.verify import Check, verify_evidence
from signing.errors import SigningError
from signing.history import revision_digests
from signing.timestamps import verify_token
from signing.trust import load_certificates
from signing.trusted_lists import TrustedListRefused, TrustedLists, load_lists
from signing.validation.sentences import LANGUAGES

_WORDS = {True: "ok", False: "FAILED", None: "not sure"}


@dataclass(frozen=True)
class Trust:
    """What the verifier believes: roots of certificates, and keys of the ledger."""

    roots: Sequence[x509.Certificate]
    ledger_keys: Sequence[str]


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option(
    "--trust",
    "anchors",
    multiple=True,
    type=_FILE,
    help="PEM file of certificates to trust; ZENDING_TRUST_ANCHOR when left out.",
)
@click.option("--key", "keys", multiple=True, help="Verifier key of the ledger; may be given twice.")
@click.option(
    "--list", "lists", multiple=True, type=_FILE, help="Trusted list (ETSI TS 119 612, XML), or list of lists."
)
@click.option("--operator", "operators", multiple=True, type=_FILE, help="PEM file of who signs the trusted lists.")
@click.option("--own", "own", multiple=True, type=_FILE, help="PEM file of seals that bear nothing but time-stamps.")
@click.option("--at", "moment", help="Judge as of this moment (2027-01-31T12:00:00Z) instead of now.")
@click.option("--revocation", is_flag=True, help="Demand that the PDF itself shows that nothing was revoked.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Of the sentence.")
@click.option("--report", "form", type=click.Choice(FORMS), help="Print the whole report on PDFs in this form.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(
    files: tuple[Path, ...],
    anchors: tuple[Path, ...],
    keys: tuple[str, ...],
    lists: tuple[Path, ...],
    operators: tuple[Path, ...],
    own: tuple[Path, ...],
    moment: str | None,
    language: str,
    form: str | None,
    *,
    revocation: bool,
    as_json: bool,
) -> None:
    """Check sealed and signed PDFs and evidence files, offline.

    Given together, they are also held against one another: the evidence must name the PDF by its SHA-256. Beside a demo
    its trust anchor and ledger key are used when none are given. Exit status 1: something failed, or could not be
    confirmed.
    """
    trust = _trust(anchors, keys, needs_roots=not lists)
    judging = Judging(
        roots=trust.roots,
        lists=_lists(lists, operators),
        clock=_clock(moment),
        require_revocation=revocation,
        own_seals=frozenset(each.fingerprint(SHA256()).hex() for each in _certificates(own, "--own")),
        language=language,
    )
    if form is not None:
        _report(files, judging, form)
        return
    results: list[tuple[Path, list[Check]]] = []
    digests: dict[Path, tuple[str, ...]] = {}
    records: dict[Path, dict[str, Any]] = {}
    for file in files:
        content = file.read_bytes()
        if _is_pdf(content):
            digests[file] = revision_digests(content)
            results.append((file, judging.checks(judging.judge(content))))
        else:
            checks, record = _check_evidence(content, trust)
            results.append((file, checks))
            records[file] = record
    if digests and records:
        results += [(file, [_named(found, records)]) for file, found in digests.items()]
    _tell(results, as_json=as_json)
    if any(check.ok is False for _, checks in results for check in checks):
        raise SystemExit(1)


def _is_pdf(content: bytes) -> bool:
    return content[:1024].lstrip().startswith(b"%PDF")


def _report(files: tuple[Path, ...], judging: Judging, form: str) -> None:
    """Print whole reports, one after another."""
    valid = True
    for file in files:
        report = judging.judge(file.read_bytes())
        valid = valid and report.valid
        try:
            click.echo(written(report, form))
        except ValueError:
            click.echo(f"{file}: there is no signature that could be reported on in XML ({report.code}).", err=True)
    if not valid:
        raise SystemExit(1)


def _clock(moment: str | None) -> Callable[[], datetime]:
    if moment is None:
        return lambda: datetime.now(UTC)
    try:
        at = datetime.fromisoformat(moment)
    except ValueError as error:
        raise click.UsageError("--at takes a moment such as 2027-01-31T12:00:00Z.") from error
    return lambda: at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _lists(files: tuple[Path, ...], operators: tuple[Path, ...]) -> TrustedLists | None:
    if not files:
        return None
    if not operators:
        raise click.UsageError("--list needs --operator FILE.pem: the certificates of whoever signs the list.")
    try:
        return load_lists(
            (file.read_bytes() for file in files), _certificates(operators, "--operator"), now=datetime.now(UTC)
        )
    except TrustedListRefused as error:
        raise click.UsageError(f"--list: {error.detail}") from error


def _certificates(files: tuple[Path, ...], option: str) -> list[x509.Certificate]:
    try:
        return [certificate for file in files for certificate in load_certificates(file)]
    except (OSError, ValueError, SigningError) as error:
        raise click.UsageError(f"the file of {option} holds no PEM certificates that can be read.") from error


def _trust(anchors: tuple[Path, ...], keys: tuple[str, ...], *, needs_roots: bool) -> Trust:
    demo = Path(os.environ.get("ZENDING_HOME", ".zending")) / "demo.json"
    if (not anchors or not keys) and demo.is_file():
        known = json.loads(demo.read_text("utf-8"))
        if not anchors:
            anchors = (Path(known["trust_anchor"]),)
            click.echo("Trusting the running demo's certificates: they are fictional.", err=True)
        keys = keys or (known["ledger_key"],)
    if not anchors and (anchor := os.environ.get("ZENDING_TRUST_ANCHOR")):
        anchors = (Path(anchor),)
    if not anchors and needs_roots:
        raise click.UsageError("give --trust FILE.pem: the certificates of the authorities that you believe.")
    return Trust(_certificates(anchors, "--trust"), keys)


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


def _named(digests: tuple[str, ...], records: dict[Path, dict[str, Any]]) -> Check:
    """Whether an evidence names the PDF, as it is or as it was before something was added to it."""
    for digest in digests:
        for record in records.values():
            if any(isinstance(part, dict) and part.get("sha256") == digest for part in record.get("parts", ())):
                told = f"the evidence of {record.get('event')} names this PDF"
                if digest != digests[0]:
                    told += ", as it was before what was added later"
                return Check("belongs together", True, told)
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
            first, *more = check.detail.split("; ")
            click.echo(f"  {_WORDS[check.ok]:<10}{check.name}: {first}")
            for line in more:
                click.echo(f"{'':<14}{line}")
