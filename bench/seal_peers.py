"""What seals are measured beside: pyHanko as its documentation shows it, and the work that nothing can do without."""

import asyncio
import io
import os
from collections.abc import Sequence
from unittest.mock import patch

import aiohttp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.timestamps.aiohttp_client import AIOHttpTimeStamper
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.fetchers.aiohttp_fetchers import AIOHttpFetcherBackend

from signing.algorithms import digest
from signing.keys import SealKey
from signing.report import Level

PADES = signers.PdfSignatureMetadata(field_name="Seal1", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES)


def plain(signer: signers.SimpleSigner, pdfs: Sequence[bytes]) -> int:
    """Level B-B with ``sign_pdf``; the key is loaded once."""
    for pdf in pdfs:
        signers.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)), PADES, signer=signer)
    return len(pdfs)


def stamped(
    signer: signers.SimpleSigner, url: str, level: Level, roots: Sequence[x509.Certificate], pdfs: Sequence[bytes]
) -> int:
    """The levels with time-stamps, in pyHanko's favour: one session is kept for all documents.

    What B-LT and B-LTA need is fetched for each document, as a validation context's moment is that of its making.
    """
    anchors = [asn1_x509.Certificate.load(root.public_bytes(Encoding.DER)) for root in roots]

    async def sign_all() -> None:
        # The certificates name a host that is nowhere: the authority is the proxy to it.
        async with aiohttp.ClientSession(trust_env=True) as session:
            stamper = AIOHttpTimeStamper(url, session=session)
            for pdf in pdfs:
                metadata = PADES
                if level in {Level.B_LT, Level.B_LTA}:
                    metadata = signers.PdfSignatureMetadata(
                        field_name="Seal1",
                        md_algorithm="sha256",
                        subfilter=SigSeedSubFilter.PADES,
                        embed_validation_info=True,
                        use_pades_lta=level is Level.B_LTA,
                        validation_context=ValidationContext(
                            trust_roots=anchors,
                            allow_fetching=True,
                            revocation_mode="require",
                            fetcher_backend=AIOHttpFetcherBackend(session=session),
                        ),
                    )
                writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
                await signers.async_sign_pdf(writer, metadata, signer=signer, timestamper=stamper)

    with patch.dict(os.environ, {"http_proxy": url.rstrip("/"), "no_proxy": "127.0.0.1"}):
        asyncio.run(sign_all())
    return len(pdfs)


def bare(key: SealKey, pdfs: Sequence[bytes]) -> int:
    """What no seal can do without: read the bytes, hash them, sign the hash, write the bytes."""
    for pdf in pdfs:
        out = io.BytesIO()
        out.write(io.BytesIO(pdf).read())
        out.write(key.sign(digest(key.mechanism.digest, pdf)))
    return len(pdfs)
