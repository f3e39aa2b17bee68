"""``python -m service.embedded.audit``: whether the locked libraries have known vulnerabilities.

A known vulnerability fails the check. A service that can't be reached does not: every build would stop with it, and
what is known about libraries does not change with our change. Then one line says that nothing was looked at.
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
_CHECKOUT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a look at one lock file said: lines for people, and whether it fails the check."""

    lines: tuple[str, ...]
    failed: bool


def judge(lock: str, report: dict[str, Any]) -> Judgement:
    """Judge what pip-audit reported as JSON."""
    dependencies = report.get("dependencies", [])
    bad = [
        f"{lock}: {each['name']} {each['version']}: {found['id']}"
        + (f" (mended in {', '.join(found['fix_versions'])})" if found.get("fix_versions") else "")
        for each in dependencies
        for found in each.get("vulns", ())
    ]
    unknown = sum("skip_reason" in each for each in dependencies)
    lines = list(bad)
    if not dependencies or unknown:
        lines.append(f"{lock}: WARNING: {unknown} of {len(dependencies)} could not be looked up: not audited.")
    if not lines:
        lines.append(f"{lock}: {len(dependencies)} looked up, no known vulnerability.")
    return Judgement(tuple(lines), bool(bad))


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
        reason = "the service for vulnerabilities did not answer in time"
    except ValueError:
        # What it could not read it says on the other stream; its last line is enough to find out.
        reason = (done.stderr.strip().splitlines() or ["no report"])[-1]
        if "hash" in reason.lower() or "requirement" in reason.lower():
            return Judgement((f"{lock}: {reason}",), failed=True)
    return Judgement((f"{lock}: WARNING: {reason}: not audited.",), failed=False)


def main(locks: Sequence[str] = LOCKS) -> int:
    """Look at every lock file; 1 when one names a library with a known vulnerability."""
    judgements = [look(lock) for lock in locks]
    for judgement in judgements:
        print("\n".join(judgement.lines))
    return int(any(each.failed for each in judgements))


if __name__ == "__main__":
    sys.exit(main())
