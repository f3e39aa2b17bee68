"""Check the proof of a whole delivery, offline: needs Python 3.11 and what verify.py beside it needs.

    python3 check.py [--keys KEYS.txt] [--tsa-ca CA.pem]

KEYS.txt holds the log's public keys, one a line, and CA.pem the certificates that issued the time-stamp authorities'.
What lies in this folder is taken where none is given; whoever could forge the evidence could forge that too, so get
them from somebody else as well.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

SUMS: Final = "SHA256SUMS"
END: Final = b"%%EOF"
Line = tuple[str, bool | None, str]


def digests(folder: Path) -> Iterator[Line]:
    """Every file is listed with its digest, and every listed file is there."""
    lines = [line.split("  ", 1) for line in (folder / SUMS).read_text("utf-8").splitlines()]
    listed = {name: digest for digest, name in lines}
    found = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - {SUMS}
    for name in sorted({*found, *listed}):
        if name not in found:
            yield name, False, "listed and not here"
        elif name not in listed:
            yield name, False, f"not listed in {SUMS}: it came from somebody else"
        elif hashlib.sha256((folder / name).read_bytes()).hexdigest() != listed[name]:
            yield name, False, f"not the file that {SUMS} lists"


def evidence(folder: Path, keys: Path, authorities: Path) -> Iterator[Line]:
    """Every record and its proof, as verify.py judges them."""
    lines = keys.read_text("utf-8").split()
    for file in sorted((folder / "evidence").glob("*.json")):
        origin = json.loads(file.read_text("utf-8"))["checkpoint"].split("\n")[0]
        own = [part for line in lines if line.split("+")[0] == origin for part in ("--key", line)]
        name = str(file.relative_to(folder))
        if not own:
            yield name, False, f"no key of the log {origin} was given"
            continue
        command = [sys.executable, str(folder / "verify.py"), str(file), *own, "--tsa-ca", str(authorities)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
        if done.returncode or failed or not done.stdout:
            yield name, False, "; ".join(failed) or done.stderr.strip()[-200:]
        else:
            yield name, True, done.stdout.splitlines()[-1].partition(": ")[2]
    for file in sorted((folder / "pending").glob("*.json")):
        yield str(file.relative_to(folder)), None, "not in the log yet when this was made"


def documents(folder: Path) -> Iterator[Line]:
    """The evidence is of one delivery, and names every document by its digest."""
    records = [json.loads(file.read_text("utf-8"))["record"] for file in sorted((folder / "evidence").glob("*.json"))]
    deliveries = {record["message_id"] for record in records}
    yield "evidence", len(deliveries) == 1, f"{len(records)} records of {', '.join(sorted(deliveries)) or 'nothing'}"
    named = {part["sha256"] for record in records for part in record["parts"]}
    for file in sorted((folder / "documents").glob("*.pdf")):
        yield str(file.relative_to(folder)), *document(file.read_bytes(), named)


def document(content: bytes, named: set[Any]) -> tuple[bool, str]:
    """Whether evidence names a document: as it is, or as it was before a newer time-stamp was added to its end."""
    if hashlib.sha256(content).hexdigest() in named:
        return True, "the evidence names it by its SHA-256"
    at = content.find(END)
    while at >= 0:
        at += len(END)
        for ending in (b"", b"\n", b"\r\n", b"\r"):
            head = content[:at] + ending
            if content.startswith(head) and hashlib.sha256(head).hexdigest() in named:
                return True, f"the evidence names its first {len(head)} bytes; what follows was added later"
        at = content.find(END, at)
    return False, "no evidence names this document"


def main(arguments: list[str] | None = None) -> int:
    """Print one line per file that was judged; 0 when nothing failed, 1 when something did."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Check the proof of a delivery offline.")
    parser.add_argument("--keys", type=Path, default=here / "keys" / "ledger.txt")
    parser.add_argument("--tsa-ca", type=Path, default=here / "certificates" / "timestamp-ca.pem")
    options = parser.parse_args(arguments)
    lines = [*digests(here), *evidence(here, options.keys, options.tsa_ca), *documents(here)]
    for name, ok, detail in lines:
        sys.stdout.write(f"{ {True: 'ok', False: 'FAILED', None: 'not checked'}[ok]:<12}{name}: {detail}\n")
    if options.keys.is_relative_to(here):
        sys.stdout.write("The keys are those of this folder: compare them with keys that you have from elsewhere.\n")
        for line in options.keys.read_text("utf-8").splitlines():
            sys.stdout.write(f"  {'+'.join(line.split('+')[:2])}\n")
    return int(any(ok is False for _, ok, _ in lines))


if __name__ == "__main__":
    sys.exit(main())
