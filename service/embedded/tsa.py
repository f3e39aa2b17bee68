"""A time-stamp authority (RFC 3161 over HTTP) for demonstrations and tests: fictional by its certificate.

It also says which certificates of the test PKI were revoked.

Its key stays loaded and a token is joined from prepared pieces, so that a token costs the signature and little more.
"""

import argparse
import asyncio
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from asn1crypto import algos, cms, core, tsp, x509
from cryptography.hazmat.primitives.serialization import Encoding

from service.embedded.pki import Credential, ensure_pki
from service.embedded.status import StatusMaker
from signing.algorithms import digest, hash_of
from signing.der import CONTEXT, OCTET_STRING, SEQUENCE, SET, integer, set_of, tlv
from signing.keys import FileSealKey

POLICY = "2.25.329800735698586629295641978511506172918"
"""Policy identifier of the demonstration's tokens (an UUID-based identifier, ITU-T X.667: nobody else's)."""

LARGEST_REQUEST = 8 * 1024
_IDLE_SECONDS = 300.0
_GENERALIZED_TIME = 0x18
_ACCURACY = tlv(SEQUENCE, integer(1))
"""Within a second of the machine's clock."""


class TokenMaker:
    """Turns RFC 3161 requests into replies. Safe to share between threads."""

    def __init__(self, credential: Credential, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Load the key once.

        Args:
            credential: the authority's key, certificate and chain.
            clock: the time that is stamped (aware).
        """
        self._key = FileSealKey.from_pem(credential.key, credential.certificate, credential.chain)
        self._clock = clock
        own = self._key.certificate.public_bytes(Encoding.DER)
        parsed = x509.Certificate.load(own)
        certificates = sorted({own, *(c.public_bytes(Encoding.DER) for c in self._key.chain)})
        self._certificates = tlv(CONTEXT, *certificates)
        self._digest_name = self._key.mechanism.digest
        self._digest_algorithm = algos.DigestAlgorithm({"algorithm": self._digest_name}).dump()
        self._signature_algorithm = self._key.mechanism.encoded
        identifier = {"issuer": parsed.issuer, "serial_number": parsed.serial_number}
        self._signer_before = integer(1) + cms.IssuerAndSerialNumber(identifier).dump() + self._digest_algorithm
        self._policy = core.ObjectIdentifier(POLICY).dump()
        self._name = tlv(CONTEXT, tlv(CONTEXT + 4, parsed.subject.dump()))
        reference = tsp.SigningCertificateV2({"certs": [tsp.ESSCertIDv2({"cert_hash": digest("sha256", own)})]})
        self._constant_attributes = [
            _attribute("content_type", cms.ContentType("tst_info")),
            _attribute("signing_certificate_v2", reference),
        ]

    def respond(self, request: bytes) -> bytes:
        """The reply (DER TimeStampResp) to ``request`` (DER TimeStampReq). Bad requests get a refusal, not an error."""
        try:
            asked = tsp.TimeStampReq.load(request, strict=True)
            imprint = asked["message_imprint"]
            algorithm = imprint["hash_algorithm"]["algorithm"].native
            policy = asked["req_policy"].native and asked["req_policy"].dotted
            nonce = asked["nonce"].native
            hashed = imprint["hashed_message"].native
            wants_certificate = bool(asked["cert_req"].native)
            extensions = asked["extensions"].native
            encoded_imprint = imprint.dump()
        except (ValueError, TypeError, KeyError):
            return _refusal("bad_data_format")
        chosen = hash_of(algorithm)
        if chosen is None:
            return _refusal("bad_alg")
        if len(hashed) != chosen.digest_size:
            return _refusal("bad_data_format")
        if policy not in {None, POLICY}:
            return _refusal("unaccepted_policy")
        if extensions:
            return _refusal("unaccepted_extensions")
        token = self._token(encoded_imprint, nonce, with_certificates=wants_certificate)
        return tlv(SEQUENCE, tlv(SEQUENCE, integer(0)), token)

    def _token(self, imprint: bytes, nonce: int | None, *, with_certificates: bool) -> bytes:
        content = tlv(
            SEQUENCE,
            integer(1),
            self._policy,
            imprint,
            integer(_serial()),
            _generalized_time(self._clock()),
            _ACCURACY,
            b"" if nonce is None else core.Integer(nonce).dump(),
            self._name,
        )
        attributes = set_of(
            [
                *self._constant_attributes,
                tlv(SEQUENCE, _MESSAGE_DIGEST, tlv(SET, tlv(OCTET_STRING, digest(self._digest_name, content)))),
            ]
        )
        signer = tlv(
            SEQUENCE,
            self._signer_before,
            bytes((CONTEXT,)) + attributes[1:],
            self._signature_algorithm,
            tlv(OCTET_STRING, self._key.sign(digest(self._digest_name, attributes))),
        )
        signed = tlv(
            SEQUENCE,
            integer(3),
            tlv(SET, self._digest_algorithm),
            tlv(SEQUENCE, _TST_INFO, tlv(CONTEXT, tlv(OCTET_STRING, content))),
            self._certificates if with_certificates else b"",
            tlv(SET, signer),
        )
        return tlv(SEQUENCE, _SIGNED_DATA, tlv(CONTEXT, signed))


_SIGNED_DATA = core.ObjectIdentifier("1.2.840.113549.1.7.2").dump()
_TST_INFO = core.ObjectIdentifier("1.2.840.113549.1.9.16.1.4").dump()
_MESSAGE_DIGEST = core.ObjectIdentifier("1.2.840.113549.1.9.4").dump()


def _attribute(name: str, value: core.Asn1Value) -> bytes:
    encoded: bytes = cms.CMSAttribute({"type": cms.CMSAttributeType(name), "values": (value,)}).dump()
    return encoded


def _serial() -> int:
    """Unique for every token of the authority's life, also after its clock was set back (RFC 3161, 2.4.2)."""
    return time.time_ns() << 64 | secrets.randbits(64)


def _generalized_time(moment: datetime) -> bytes:
    """GeneralizedTime with milliseconds, without trailing zeros (RFC 3161, 2.4.2)."""
    utc = moment.astimezone(UTC)
    fraction = f".{utc.microsecond // 1000:03}".rstrip("0").rstrip(".")
    return tlv(_GENERALIZED_TIME, f"{utc:%Y%m%d%H%M%S}{fraction}Z".encode())


def _refusal(failure: str) -> bytes:
    status = tsp.PKIStatusInfo({"status": "rejection", "fail_info": {failure}})
    return tlv(SEQUENCE, status.dump())


async def serve(
    maker: TokenMaker, port: int, *, hosts: Sequence[str] = ("127.0.0.1",), status: StatusMaker | None = None
) -> asyncio.Server:
    """Start answering on these addresses; port 0 takes a free one. The caller closes the server.

    With ``status`` it also says, as a proxy for the host that the test PKI's certificates name, who was revoked.
    """

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _exchange(maker, status, reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, TimeoutError):
            # The other side is gone, or never spoke HTTP: nothing is owed to it.
            return
        finally:
            writer.close()

    return await asyncio.start_server(converse, hosts, port, limit=LARGEST_REQUEST)


async def _exchange(
    maker: TokenMaker, status: StatusMaker | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Answer one request; whether the connection stays open for another."""
    async with asyncio.timeout(_IDLE_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        method, target, version = (*line.split(" "), "", "", "")[:3]
        headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in rest)}
        length = headers.get("content-length", "")
        keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if method == "GET" and status is not None and target.endswith(".crl"):
            name = target.rpartition("/")[2].removesuffix(".crl")
            if (found := status.revocation_list(name)) is not None:
                return await _reply(writer, "200 OK", "application/pkix-crl", found, keep=keep)
            return await _reply(writer, "404 Not Found", "text/plain", b"", keep=keep)
        if method != "POST":
            return await _reply(writer, "405 Method Not Allowed", "text/plain", b"", keep=False)
        if not length.isdecimal() or len(length) > 9 or int(length) > LARGEST_REQUEST:  # noqa: PLR2004 - digits
            return await _reply(writer, "413 Content Too Large", "text/plain", b"", keep=False)
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        answers = {"application/timestamp-query": maker.respond}
        if status is not None:
            answers["application/ocsp-request"] = status.respond
        if kind not in answers:
            return await _reply(writer, "415 Unsupported Media Type", "text/plain", b"", keep=False)
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(length))
        replied = kind.replace("query", "reply").replace("request", "response")
        return await _reply(writer, "200 OK", replied, answers[kind](body), keep=keep)


async def _reply(writer: asyncio.StreamWriter, status: str, kind: str, body: bytes, *, keep: bool) -> bool:
    staying = "keep-alive" if keep else "close"
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: {staying}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    return keep


async def _run(folder: Path, hosts: Sequence[str], port: int) -> None:
    maker = TokenMaker(ensure_pki(folder).tsa)
    server = await serve(maker, port, hosts=hosts, status=StatusMaker(folder))
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
    await stopped.wait()
    server.close()


def main() -> None:
    """Run until told to stop; the address is the one line printed."""
    parser = argparse.ArgumentParser(description="Time-stamp authority for demonstrations (fictional certificate)")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the test PKI, made when missing")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--also", help="an address of this machine besides 127.0.0.1 on which to answer")
    chosen = parser.parse_args()
    hosts = ("127.0.0.1",) if chosen.also is None else ("127.0.0.1", chosen.also)
    asyncio.run(_run(chosen.folder, hosts, chosen.port))


if __name__ == "__main__":
    main()
