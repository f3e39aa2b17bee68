"""``python -m service.embedded.audit``: whether the locked libraries have known vulnerabilities.

A known vulnerability fails the check, and so does whatever keeps the lock itself from being read. A service that can't
be reached does not: every build would stop with it, and what is known about libraries does not change with our change.
Then one line says what was not looked at, and the status is `UNSEEN`, so that nobody takes it for passed.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LOCKS: Final = ("requirements/dev.txt",)
"""The one that holds all others, in the same versions; a test sees to that."""
SECONDS: Final = 180
UNSEEN: Final = 75
"""Status when nothing bad was found and not everything could be looked up (``EX_TEMPFAIL``)."""
_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_SERVICE: Final = "PyPI's service for known vulnerabilities"
_NAMES_SHOWN: Final = 5
# How pip-audit ends when the service is not there: its own word for some ways of that, its client's trace for others.
_UNREACHABLE: Final = (
    "requests.exceptions.",
    "pip_audit._service.interface.",
    "ERROR:pip_audit._cli:Tip: your network",
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a look at one lock file said: lines for people, whether it fails the check, whether all was looked up."""

    lines: tuple[str, ...]
    failed: bool
    complete: bool = True


def judge(lock: str, report: dict[str, Any]) -> Judgement:
    """Judge what pip-audit reported as JSON."""
    dependencies = report.get("dependencies", [])
    if not dependencies:
        return Judgement((f"{lock}: no library stands in it.",), failed=True)
    lines = [
        f"{lock}: {each['name']} {each['version']}: {found['id']}"
        + (f" (mended in {', '.join(found['fix_versions'])})" if found.get("fix_versions") else "")
        for each in dependencies
        for found in each.get("vulns", ())
    ]
    failed = bool(lines)
    unknown = [each["name"] for each in dependencies if "skip_reason" in each]
    if len(unknown) == len(dependencies):
        return _unseen(lock, f"{_SERVICE} answered for none of the {len(unknown)} libraries")
    if unknown:
        names = ", ".join(unknown[:_NAMES_SHOWN]) + (", …" if len(unknown) > _NAMES_SHOWN else "")
        lines.append(f"{lock}: WARNING: {len(unknown)} of {len(dependencies)} not audited: {_SERVICE} lacks {names}.")
    elif not failed:
        lines.append(f"{lock}: {len(dependencies)} looked up, no known vulnerability.")
    return Judgement(tuple(lines), failed, complete=not unknown)


def _unseen(lock: str, reason: str) -> Judgement:
    return Judgement((f"{lock}: WARNING: not audited: {reason}.",), failed=False, complete=False)


def look(lock: str) -> Judgement:
    """Ask pip-audit about one lock file."""
    arguments = [
        "-s",
        "pypi",
        "--disable-pip",
        "--require-hashes",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *arguments, "--timeout", "10", "-r", str(_CHECKOUT / lock)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return judge(lock, json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return _unseen(lock, f"{_SERVICE} did not answer in time")
    except ValueError:
        # What it could not do it says on the other stream: its own word, maybe with a quotation after it, or a trace.
        said = done.stderr.strip().splitlines() or ["pip-audit reported nothing"]
        last = [line for line in said if line.startswith("ERROR:")][-1:] or said[-1:]
    if last[0].startswith(_UNREACHABLE):
        return _unseen(lock, f"{_SERVICE} can't be reached")
    return Judgement((f"{lock}: {last[0]}",), failed=True)


def main(locks: Sequence[str] = LOCKS) -> int:
    """Look at every lock file; 1 when one names a library with a known vulnerability, `UNSEEN` when some is unknown."""
    judgements = [look(lock) for lock in locks]
    for judgement in judgements:
        print("\n".join(judgement.lines))
    if any(each.failed for each in judgements):
        return 1
    return 0 if all(each.complete for each in judgements) else UNSEEN


if __name__ == "__main__":
    sys.exit(main())
