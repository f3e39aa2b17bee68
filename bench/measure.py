"""What the measuring programs share: the machine, the clock, the table, the JSON file."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Result:
    """One figure, and what it stands beside.

    Attributes:
        case: its name, stable from run to run.
        value: ours.
        unit: of both values.
        peer: what it is compared with; None for a figure that stands alone.
        peer_value: the peer's, from the same run.
        ratio: above 1 where we are better; None without a peer.
    """

    case: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None


def cost(case: str, value: float, unit: str, *, peer: str | None = None, peer_value: float | None = None) -> Result:
    """A figure of which less is better."""
    return Result(case, value, unit, peer, peer_value, peer_value / value if peer_value is not None else None)


def rate(case: str, value: float, unit: str, *, peer: str | None = None, peer_value: float | None = None) -> Result:
    """A figure of which more is better."""
    return Result(case, value, unit, peer, peer_value, value / peer_value if peer_value is not None else None)


@dataclass(frozen=True, slots=True)
class Spent:
    """Time per piece of work, in milliseconds."""

    cpu: float
    wall: float


def time_in_turns(works: Mapping[str, Callable[[], int]], *, rounds: int) -> dict[str, Spent]:
    """The time of each of ``works`` per piece, the best of ``rounds``.

    They take turns, so that a machine that is busy for a moment is busy for all of them. Each does its work once and
    returns of how many pieces it consisted. A first turn, not counted, warms everything up.
    """
    best: dict[str, Spent] = {}
    for number in range(rounds + 1):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            pieces = work()
            spent = Spent((time.process_time() - cpu) * 1e3 / pieces, (time.perf_counter() - wall) * 1e3 / pieces)
            if number == 0:
                continue
            known = best.get(name, spent)
            best[name] = Spent(min(known.cpu, spent.cpu), min(known.wall, spent.wall))
    return best


def cpu_seconds_of(pid: int) -> float:
    """CPU time that a running process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, str | int]:
    """What the figures were taken on."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def options(description: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line that every measuring program has: ``quick`` and ``json``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under 50 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    return parser.parse_args(arguments)


def report(results: Iterable[Result], *, json_file: Path | None) -> None:
    """Print the table and, if asked for, write the same figures as JSON."""
    found, on = list(results), machine()
    print(f"{on['cpu']}, {on['cores']} cores, {on['memory_mib']} MiB, {on['system']}, Python {on['python']}\n")
    rows = [("case", "value", "unit", "peer", "its value", "ratio")]
    rows += [
        (
            one.case,
            _number(one.value),
            one.unit,
            one.peer or "",
            "" if one.peer_value is None else _number(one.peer_value),
            "" if one.ratio is None else f"{one.ratio:.2f}×",
        )
        for one in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, (False, True, False, False, True, True), strict=True)
        print("  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells).rstrip())
    if json_file is not None:
        json_file.write_text(json.dumps({"machine": on, "results": [asdict(one) for one in found]}, indent=1) + "\n")


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
