"""Seals beyond the usual: large files, several processes, keys in a token, seals that can be seen."""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from bench.measure import Result, cost, rate, time_in_turns
from bench.seal_documents import documents, large
from bench.seal_peers import bare
from service.embedded.pki import Credential
from signing.appearance import Appearance
from signing.keys import FileSealKey
from signing.keys.pkcs11 import KeyAddress, Pkcs11SealKey
from signing.keys.pkcs11_module import TokenAddress
from signing.seal import Sealer

ROOT = Path(__file__).resolve().parent.parent
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
CPU, WALL = "ms CPU/document", "ms/document"


def seal_all(sealer: Sealer, pdfs: list[bytes], code: str | None = None) -> int:
    """Seal as the service does, output check included."""
    for pdf in pdfs:
        sealer.seal(pdf, at=datetime.now(UTC), code=code)
    return len(pdfs)


def visible(key: FileSealKey, *, rounds: int) -> Iterator[Result]:
    """A seal that can be seen beside one that can't."""
    font = (ROOT / "printing" / "fonts" / "LiberationSans-Regular.ttf").read_bytes()
    look = Appearance(
        font=font, organisation="Gemeente Voorbeeld", language="nl", check_address="https://zending.invalid/v?c={code}"
    )
    pdfs = documents()
    spent = time_in_turns(
        {
            "shown": partial(seal_all, Sealer(key, None, appearance=look), pdfs, "7Q4K-ZZ2P-9M3T"),
            "hidden": partial(seal_all, Sealer(key, None), pdfs),
        },
        rounds=rounds,
    )
    yield cost("b-b/p-256/visible", spent["shown"].cpu, CPU, peer="invisible", peer_value=spent["hidden"].cpu)


def in_token(credential: Credential, *, rounds: int) -> Iterator[Result]:
    """A key in a PKCS#11 token (SoftHSM) beside the bare calls to it; nothing where SoftHSM isn't installed."""
    tool = shutil.which("softhsm2-util")
    if tool is None or not SOFTHSM.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "softhsm2.conf")
        (Path(folder) / "tokens").mkdir()
        configuration.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        quietly = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        quietly([tool, "--init-token", "--free", "--label", "bench", "--pin", "1234", "--so-pin", "1234"])
        imported = ["--import", str(credential.key), "--token", "bench", "--label", "seal", "--id", "01"]
        quietly([tool, *imported, "--pin", "1234"])
        own = FileSealKey.from_pem(credential.key, credential.certificate, credential.chain)
        key = Pkcs11SealKey(
            TokenAddress(str(SOFTHSM), label="bench"),
            lambda: "1234",
            KeyAddress(label="seal"),
            certificate=own.certificate,
            chain=own.chain,
        )
        pdfs = documents()
        works = {
            "token": partial(seal_all, Sealer(key, None), pdfs),
            "file": partial(seal_all, Sealer(own, None), pdfs),
            "bare": partial(bare, key, pdfs),
        }
        spent = time_in_turns(works, rounds=rounds)
    yield cost("b-b/rsa-3072/token", spent["token"].cpu, CPU, peer="the token's own", peer_value=spent["bare"].cpu)
    beside = spent["token"].cpu - spent["bare"].cpu
    plain = spent["file"].cpu
    yield cost("b-b/rsa-3072/token/beside", beside, CPU, peer="a whole seal with a file's key", peer_value=plain)


SIZES = ((100, 25_000), (500, 25_000), (2_000, 25_000))
"""Pages, and bytes of each: 2.5, 12.5 and 50 MB."""


def files(credential: Credential, *, quick: bool) -> Iterator[Result]:
    """Large files through handles, each in a process of its own that tells its largest memory."""
    with tempfile.TemporaryDirectory() as folder:
        told: list[tuple[float, float, int]] = []
        for pages, each in SIZES:
            source = Path(folder, f"{pages}.pdf")
            large(source, pages=pages, bytes_a_page=each)
            with get_context("spawn").Pool(1) as pool:
                told.append(pool.apply(_one_file, (credential, source, 1 if quick else 3)))
    (_, least, _), *_ = told
    for (milliseconds, peak, size), (pages, _) in zip(told, SIZES, strict=True):
        per_mb = milliseconds / (size / 1e6)
        first = told[0][0] / (told[0][2] / 1e6)
        yield cost(f"b-b/p-256/{pages}-pages/wall", per_mb, "ms/MB", peer="per MB of 100 pages", peer_value=first)
        # A page of memory is the least that can be told.
        limit = least + 1
        yield cost(
            f"b-b/p-256/{pages}-pages/memory", max(peak, 0.004), "MiB", peer="100 pages' + 1 MiB", peer_value=limit
        )


def _one_file(credential: Credential, source: Path, times: int) -> tuple[float, float, int]:
    """Milliseconds (best of ``times``), MiB that sealing took at most, bytes of the file."""
    key = FileSealKey.from_pem(credential.key, credential.certificate, credential.chain)
    sealer = Sealer(key, None)
    seal_all(sealer, documents()[:2])
    gc.collect()
    # From here on the system counts anew how much memory this process had at most.
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    best = float("inf")
    for _ in range(times):
        with source.open("rb") as given, source.with_suffix(".sealed").open("w+b") as target:
            began = time.perf_counter()
            sealer.seal_file(given, target, at=datetime.now(UTC))
            best = min(best, (time.perf_counter() - began) * 1e3)
        gc.collect()
    return best, (_memory("VmHWM") - before) / 1024, source.stat().st_size


def _memory(name: str) -> int:
    """A figure of this process's memory, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def processes(credential: Credential, *, quick: bool) -> Iterator[Result]:
    """How much faster two processes are than one; every task has 50 documents."""
    tasks = 8 if quick else 40
    with get_context("spawn").Pool(2, _prepare, (credential,)) as pool:
        pool.map(_task, range(4), chunksize=1)
        began = time.perf_counter()
        for number in range(tasks):
            pool.apply(_task, (number,))
        one = tasks * 50 / (time.perf_counter() - began)
        began = time.perf_counter()
        pool.map(_task, range(tasks), chunksize=1)
        two = tasks * 50 / (time.perf_counter() - began)
    yield rate("b-b/p-256/two-processes", two, "documents/s", peer="one process", peer_value=one)


_kept: dict[str, tuple[Sealer, list[bytes]]] = {}


def _prepare(credential: Credential) -> None:
    sys.path.insert(0, str(ROOT))
    key = FileSealKey.from_pem(credential.key, credential.certificate, credential.chain)
    _kept["sealer"] = Sealer(key, None), documents()


def _task(_: int) -> int:
    sealer, pdfs = _kept["sealer"]
    return seal_all(sealer, (pdfs * 5)[:50])
