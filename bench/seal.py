"""What a seal costs: ours beside plain pyHanko as its documentation shows it, and beside the bare hash and signature.

Every figure comes from the same run over the same documents, from memory to memory. Key files are loaded once for all.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pyhanko.sign import signers

from bench import seal_more
from bench.measure import Result, Spent, cost, cpu_seconds_of, options, report, time_in_turns
from bench.seal_documents import documents
from bench.seal_more import CPU, WALL, seal_all
from bench.seal_peers import bare, plain, stamped
from service.embedded.pki import Algorithm, Credential, DemoPki, ensure_pki, ensure_seal
from signing.algorithms import Mechanism
from signing.asking import Asking
from signing.errors import RevocationUnavailable
from signing.keys import FileSealKey
from signing.report import Level
from signing.revocation import OnlineRevocation
from signing.seal import Sealer
from signing.timestamps import HttpTimeStampAuthority
from signing.trust import load_certificates
from signing.validate import validate

FETCHED = 3
"""Documents that plain pyHanko seals at the levels for which it fetches everything anew: they cost a hundred times."""


@contextmanager
def authority(pki: DemoPki) -> Iterator[tuple[str, int]]:
    """The embedded time-stamp authority as its own process: address and process id."""
    command = [sys.executable, "-m", "service.embedded.tsa", "--folder", str(pki.folder), "--port", "0"]
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def ladder(algorithm: Algorithm, credential: Credential, pki: DemoPki, *, rounds: int) -> list[Result]:
    """All levels with one kind of key."""
    pdfs = documents()
    key = FileSealKey.from_pem(credential.key, credential.certificate, credential.chain)
    signer = signers.SimpleSigner.load(
        str(credential.key), str(credential.certificate), ca_chain_files=(str(credential.chain),)
    )
    assert signer is not None
    roots = load_certificates(pki.trust_anchor)
    with authority(pki) as (url, pid), HttpTimeStampAuthority(url, roots) as tsa:
        asking = Asking(party="The issuer", fault=RevocationUnavailable, proxy=url.rstrip("/"))
        with OnlineRevocation(roots, asking=asking) as source:
            works: dict[str, Callable[[], int]] = {"bare": partial(bare, key, pdfs)}
            for level in Level:
                sealer = Sealer(key, None if level is Level.B_B else tsa, level=level, revocation=source)
                at = datetime.now(UTC)
                for pdf in pdfs:
                    assert validate(sealer.seal(pdf, at=at), trust_roots=roots, at=at).valid
                works[level.value] = partial(seal_all, sealer, pdfs)
                few = pdfs[:FETCHED] if level in {Level.B_LT, Level.B_LTA} else pdfs
                theirs = (
                    partial(plain, signer, pdfs)
                    if level is Level.B_B
                    else partial(stamped, signer, url, level, roots, few)
                )
                works[f"{level.value} pyhanko"] = theirs
            spent = time_in_turns(works, rounds=rounds)
        before, tokens = cpu_seconds_of(pid), 500
        for _ in range(tokens):
            tsa.token(bytes(32))
        token_cost = (cpu_seconds_of(pid) - before) * 1e3 / tokens
    return [*_compare(algorithm, spent), cost(f"b-t/{algorithm}/authority", token_cost, "ms CPU/token")]


def _compare(algorithm: str, spent: dict[str, Spent]) -> Iterator[Result]:
    for level in Level:
        name, mine, peer = level.value.lower(), spent[level.value], spent[f"{level.value} pyhanko"]
        yield cost(f"{name}/{algorithm}/default", mine.cpu, CPU, peer="pyhanko", peer_value=peer.cpu)
        yield cost(f"{name}/{algorithm}/wall", mine.wall, WALL, peer="pyhanko", peer_value=peer.wall)
        limit = spent["bare"].cpu
        yield cost(f"{name}/{algorithm}/limit", mine.cpu, CPU, peer="hash and signature", peer_value=limit)


def mechanisms(pki: DemoPki, *, rounds: int) -> Iterator[Result]:
    """Level B-B by every other mechanism, beside its bare signature."""
    pdfs = documents()
    chosen: list[tuple[Algorithm, Mechanism]] = [
        ("p-256", Mechanism.ECDSA_SHA512),
        ("p-384", Mechanism.ECDSA_SHA384),
        ("rsa-3072", Mechanism.RSA_SHA512),
        ("rsa-3072", Mechanism.PSS_SHA256),
    ]
    for algorithm, mechanism in chosen:
        made = ensure_seal(pki.folder, "Measuring", algorithm, algorithm=algorithm)
        key = FileSealKey.from_pem(made.key, made.certificate, made.chain, mechanism=mechanism)
        works = {"seal": partial(seal_all, Sealer(key, None), pdfs), "bare": partial(bare, key, pdfs)}
        spent = time_in_turns(works, rounds=rounds)
        limit = spent["bare"].cpu
        case = f"b-b/{algorithm}/{mechanism.name.lower().replace('_', '-')}/limit"
        yield cost(case, spent["seal"].cpu, CPU, peer="hash and signature", peer_value=limit)


def plot(results: Sequence[Result]) -> None:
    """Bars on a logarithmic scale: ours, the peer's and the limit's, from 0.05 ms to 500."""
    print("\nCPU per document, each mark ten times the one before: 0.1, 1, 10, 100 ms")
    for one in results:
        if not one.case.endswith(("/default", "/limit")) or one.peer_value is None:
            continue
        sign = "█" if one.case.endswith("/default") else "░"
        if sign == "█":
            print(f"{one.case.removesuffix('/default'):>18} ours    {_bar('█', one.value)}")
            print(f"{'':>18} pyHanko {_bar('▒', one.peer_value)}")
        elif one.case.count("/") == 2:
            print(f"{'':>18} bare    {_bar('░', one.peer_value)}")


def _bar(sign: str, milliseconds: float) -> str:
    width = max(1, round(16 * (math.log10(milliseconds) - math.log10(0.05))))
    return f"{sign * width} {milliseconds:.2f}"


def main() -> None:
    chosen = options("What a seal costs")
    rounds = 1 if chosen.quick else 7
    with tempfile.TemporaryDirectory() as folder:
        pki = ensure_pki(Path(folder))
        results: list[Result] = []
        kinds: tuple[Algorithm, ...] = ("rsa-3072", "p-256")
        for algorithm in kinds:
            credential = ensure_seal(pki.folder, "Measuring", algorithm, algorithm=algorithm)
            results += ladder(algorithm, credential, pki, rounds=rounds)
        results += mechanisms(pki, rounds=rounds)
        curve, rsa = (ensure_seal(pki.folder, "Measuring", kind, algorithm=kind) for kind in ("p-256", "rsa-3072"))
        key = FileSealKey.from_pem(curve.key, curve.certificate, curve.chain)
        results += seal_more.visible(key, rounds=rounds)
        results += seal_more.in_token(rsa, rounds=rounds)
        results += seal_more.files(curve, quick=chosen.quick)
        results += seal_more.processes(curve, quick=chosen.quick)
    report(results, json_file=chosen.json)
    plot(results)


if __name__ == "__main__":
    main()
