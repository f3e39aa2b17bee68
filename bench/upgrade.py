"""The release before and this one side by side on the migrated schema, as in a rolling upgrade.

    .venv/bin/python -m bench.upgrade --before 8baab4c

The database is migrated by this release. API, worker and scheduler of both releases then run together: hand-ins are
spread over both APIs, their jobs go to whichever worker comes first. While more is handed in, the old processes are
asked to stop, one role after the other. A judge looks at the result from outside (bench/truth.py). The release before
comes from this checkout's history and runs with this release's libraries.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from bench import truth
from bench.running import Answer, Running, hand_in, requests, running
from service.embedded.kept import free_port
from tests.installation_support import is_ready
from tests.processes_support import Processes, installed_environment
from tests.servers_support import relay
from tests.service_support import until

CHECKOUT = Path(__file__).resolve().parent.parent
ROLES = ("api", "worker", "scheduler")
BEFORE = "8baab4c"
"""The release before, as git names it."""
QUOTAS = False
"""Whether that release counts what organisations use of their quotas."""


def main() -> int:
    """Run both and print what was found; 0 when nothing was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default=BEFORE, help="the release before, as git names it")
    parser.add_argument("-n", type=int, default=100, help="hand-ins while both run, and again while the old one stops")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="upgrade") as folder:
        faults = side_by_side(Path(folder), given.before, given.n)
    print("\n".join(faults) or "Nothing was lost and nothing happened twice.", flush=True)
    return 1 if faults else 0


def side_by_side(folder: Path, before: str, count: int) -> list[str]:
    """Run both releases in an empty folder; what was wrong."""
    with ExitStack() as closing:
        return _run(folder, before, count, closing)


def _run(folder: Path, before: str, count: int, closing: ExitStack) -> list[str]:
    old = _unpacked(before, folder / "before")
    base = f"127.0.0.1:{free_port()}"
    settings: dict[str, Any] = {"ZENDING_BASE_URL": f"http://{base}", "ZENDING_PRINT_CUTOFF_SECONDS": "4"}
    target = closing.enter_context(running(folder / "home", here=True, **settings))
    processes = Processes(folder / "logs")
    closing.callback(processes.kill)
    apis = [_start(processes, target, name, checkout) for name, checkout in (("old", old), ("new", CHECKOUT))]
    relay(processes, "balancer", base, *apis, ready="/health/ready")
    with httpx.Client(trust_env=False, timeout=10.0) as client:
        for api in apis:
            until(partial(is_ready, client, api), f"{api} to be ready")
    answers = _hand_in_to_both(target, requests(target, count, seed=1))
    seconds = truth.wait_for_end(target, len(answers), seconds=180)
    faults = truth.judge(target, answers, quotas=QUOTAS).faults
    worked = {name: _chunks(folder / "logs", name) for name in ("old", "new")}
    print(f"{len(answers)} handed in to both, at their end {seconds:.1f} s later; chunks of work: {worked}", flush=True)
    handing_in = threading.Thread(
        target=lambda: answers.extend(_hand_in_to_both(target, requests(target, count, seed=2)))
    )
    handing_in.start()
    ended = {role: processes.stop(f"old-{role}") for role in ROLES}
    handing_in.join()
    truth.wait_for_end(target, 2 * count, seconds=180)
    faults += truth.judge(target, answers, quotas=QUOTAS).faults
    print(f"{len(answers)} after the old release was stopped under load (statuses {ended})", flush=True)
    faults += [f"the {name} release's worker did nothing" for name, chunks in worked.items() if not chunks]
    faults += [f"the old {role} ended with status {status}" for role, status in ended.items() if status]
    return faults


def _unpacked(revision: str, folder: Path) -> Path:
    folder.mkdir()
    archive = subprocess.run(["git", "archive", revision], cwd=CHECKOUT, capture_output=True, check=False)  # noqa: S607
    if archive.returncode:
        sys.exit(f"{revision} is not in this checkout's history: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)  # noqa: S607
    return folder


def _start(processes: Processes, target: Running, name: str, checkout: Path) -> str:
    """Start a release's three roles; where its API listens."""
    place = f"127.0.0.1:{free_port()}"
    environment: Mapping[str, str] = installed_environment(checkout) | {
        key: value
        for key, value in target.stack.environment.items()
        if key.startswith("ZENDING_") or key.endswith("_URL")
    }
    for role in ROLES:
        own = {"ZENDING_PORT": place.rpartition(":")[2]}
        processes.start(f"{name}-{role}", (sys.executable, "-m", "service.cli", role), {**environment, **own})
    return place


def _hand_in_to_both(target: Running, wanted: Any) -> list[Answer]:
    """Each connection goes to the next API in turn, so half of them to each."""
    return hand_in(target, wanted, connections=8)


def _chunks(logs: Path, name: str) -> int:
    return len(re.findall(r'"event": "chunk"', (logs / f"{name}-worker.log").read_text("utf-8")))


if __name__ == "__main__":
    sys.exit(main())
