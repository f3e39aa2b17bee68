"""What a seal costs: ours beside plain pyHanko as its documentation shows it, and beside the bare hash and signature.

Every figure comes from the same run over the same documents, from memory to memory. Key files are loaded once for all.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

import asyncio
import io
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp
import pikepdf
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.timestamps.aiohttp_client import AIOHttpTimeStamper
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from bench.measure import Result, Spent, cost, cpu_seconds_of, options, report, time_in_turns
from service.embedded.pki import Algorithm, Credential, DemoPki, ensure_pki, ensure_seal
from signing.algorithms import digest
from signing.keys import FileSealKey
from signing.seal import Sealer
from signing.timestamps import HttpTimeStampAuthority
from signing.trust import load_certificates
from signing.validate import validate

CPU = "ms CPU/document"
WALL = "ms/document"


def documents() -> list[bytes]:
    """Twelve letters of 32 to 155 KB: text, tables and pictures, with classic and with compressed cross-references."""
    chance = random.Random(20261123)
    made = []
    for number in range(6):
        plain = _letter(chance, pages=1 + number // 2, picture=100 + 20 * number)
        out = io.BytesIO()
        with pikepdf.open(io.BytesIO(plain)) as opened:
            opened.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
        made += [plain, out.getvalue()]
    return made


def _letter(chance: random.Random, *, pages: int, picture: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=1, invariant=True)
    noise = Image.frombytes("RGB", (picture, picture), chance.randbytes(picture * picture * 3))
    canvas.drawImage(ImageReader(noise), 60, 600, 120, 120)
    for _ in range(pages):
        for line in range(45):
            canvas.drawString(60, 560 - 12 * line, " ".join(str(chance.randrange(10**6)) for _ in range(9)))
        canvas.showPage()
    canvas.save()
    return out.getvalue()


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


def ours(sealer: Sealer, pdfs: list[bytes]) -> int:
    """Seal as the service does, output check included."""
    for pdf in pdfs:
        sealer.seal(pdf, at=datetime.now(UTC))
    return len(pdfs)


PADES = signers.PdfSignatureMetadata(field_name="Seal1", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES)


def plain_pyhanko(signer: signers.SimpleSigner, pdfs: list[bytes]) -> int:
    """Sign with ``sign_pdf`` as pyHanko's documentation shows it, asked for PAdES."""
    for pdf in pdfs:
        signers.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)), PADES, signer=signer)
    return len(pdfs)


def stamped_pyhanko(signer: signers.SimpleSigner, url: str, pdfs: list[bytes]) -> int:
    """The same with a time-stamp, in pyHanko's favour: one session is kept for all documents."""

    async def sign_all() -> None:
        async with aiohttp.ClientSession() as session:
            stamper = AIOHttpTimeStamper(url, session=session)
            for pdf in pdfs:
                writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
                await signers.async_sign_pdf(writer, PADES, signer=signer, timestamper=stamper)

    asyncio.run(sign_all())
    return len(pdfs)


def bare(key: FileSealKey, pdfs: list[bytes]) -> int:
    """What no seal can do without: read the bytes, hash them, sign the hash, write the bytes."""
    for pdf in pdfs:
        out = io.BytesIO()
        out.write(io.BytesIO(pdf).read())
        out.write(key.sign(digest("sha256", pdf)))
    return len(pdfs)


def measure(algorithm: Algorithm, credential: Credential, pki: DemoPki, *, rounds: int) -> list[Result]:
    """All cases of one kind of key."""
    pdfs = documents()
    key = FileSealKey.from_pem(credential.key, credential.certificate, credential.chain)
    signer = signers.SimpleSigner.load(
        str(credential.key), str(credential.certificate), ca_chain_files=(str(credential.chain),)
    )
    assert signer is not None
    roots = load_certificates(pki.trust_anchor)
    with authority(pki) as (url, pid), HttpTimeStampAuthority(url, roots) as tsa:
        sealer, stamping = Sealer(key, None), Sealer(key, tsa)
        at = datetime.now(UTC)
        for pdf in pdfs:
            assert validate(stamping.seal(pdf, at=at), trust_roots=roots, at=at).valid
        works: dict[str, Callable[[], int]] = {
            "b-b": partial(ours, sealer, pdfs),
            "b-b pyhanko": partial(plain_pyhanko, signer, pdfs),
            "b-t": partial(ours, stamping, pdfs),
            "b-t pyhanko": partial(stamped_pyhanko, signer, url, pdfs),
            "bare": partial(bare, key, pdfs),
        }
        spent = time_in_turns(works, rounds=rounds)
        before = cpu_seconds_of(pid)
        tokens = 500
        for _ in range(tokens):
            tsa.token(bytes(32))
        token_cost = (cpu_seconds_of(pid) - before) * 1e3 / tokens
    return [*_compare(algorithm, spent), cost(f"b-t/{algorithm}/authority", token_cost, "ms CPU/token")]


def _compare(algorithm: str, spent: dict[str, Spent]) -> Iterator[Result]:
    for level in ("b-b", "b-t"):
        mine, peer = spent[level], spent[f"{level} pyhanko"]
        yield cost(f"{level}/{algorithm}/default", mine.cpu, CPU, peer="pyhanko", peer_value=peer.cpu)
        yield cost(f"{level}/{algorithm}/wall", mine.wall, WALL, peer="pyhanko", peer_value=peer.wall)
        limit = spent["bare"].cpu
        yield cost(f"{level}/{algorithm}/limit", mine.cpu, CPU, peer="hash and signature", peer_value=limit)


def main() -> None:
    chosen = options("What a seal costs")
    rounds = 3 if chosen.quick else 9
    with tempfile.TemporaryDirectory() as folder:
        pki = ensure_pki(Path(folder))
        results: list[Result] = []
        kinds: tuple[Algorithm, ...] = ("rsa-3072", "p-256")
        for algorithm in kinds:
            credential = ensure_seal(pki.folder, "Measuring", algorithm, algorithm=algorithm)
            results += measure(algorithm, credential, pki, rounds=rounds)
    report(results, json_file=chosen.json)


if __name__ == "__main__":
    main()
