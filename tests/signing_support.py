"""What the tests of seals share: a test PKI, authorities honest and lying, documents, outside judges."""

import asyncio
import atexit
import http.server
import io
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils.reader import PdfFileReader
from reportlab.pdfgen.canvas import Canvas

from service.embedded.pki import STATUS_URL, Algorithm, Credential, DemoPki, ensure_pki, ensure_seal
from service.embedded.status import StatusMaker
from service.embedded.tsa import TokenMaker, serve
from signing.algorithms import Mechanism
from signing.asking import Asking
from signing.errors import RevocationUnavailable
from signing.keys import FileSealKey
from signing.revocation import OnlineRevocation
from signing.timestamps import HttpTimeStampAuthority
from signing.tokens import TokenVerifier
from signing.trust import load_certificates

ROOT = Path(__file__).resolve().parent.parent


def now() -> datetime:
    """The moment of the call: time-stamps carry the machine's time, and a moment kept since loading lies before it."""
    return datetime.now(UTC)


@cache
def pki() -> DemoPki:
    """One test PKI for the whole run."""
    folder = Path(tempfile.mkdtemp(prefix="zending-pki-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return ensure_pki(folder)


def roots() -> tuple[x509.Certificate, ...]:
    return load_certificates(pki().trust_anchor)


def credential(algorithm: Algorithm = "p-256") -> Credential:
    """The files of a seal key of the test PKI."""
    return ensure_seal(pki().folder, "Gemeente Voorbeeld", f"voorbeeld-{algorithm}", algorithm=algorithm)


def place_seal_files(folder: Path, made: Credential, name: str = "tax") -> None:
    """Put a key's three files where a seal profile has them, as an operator copies them: the certificate last."""
    for part, file in (("key", made.key), ("chain", made.chain), ("cert", made.certificate)):
        shutil.copy(file, folder / f"{name}.{part}.pem")


@cache
def seal_key(algorithm: Algorithm = "p-256", mechanism: Mechanism | None = None) -> FileSealKey:
    made = credential(algorithm)
    return FileSealKey.from_pem(made.key, made.certificate, made.chain, mechanism=mechanism)


@cache
def token_maker() -> TokenMaker:
    return TokenMaker(pki().tsa)


class InProcessAuthority:
    """The demonstration's authority without a network between: the second implementation of the contract."""

    def __init__(self, maker: TokenMaker | None = None) -> None:
        self._maker = maker or token_maker()
        self._verifier = TokenVerifier(roots())

    def token(self, digest: bytes) -> bytes:
        reply = tsp.TimeStampResp.load(self._maker.respond(query(digest)))
        token: bytes = reply["time_stamp_token"].dump()
        self._verifier.check(token, algorithm="sha256", imprint=digest)
        return token


def query(digest: bytes, *, nonce: int | None = 77, algorithm: str = "sha256", certificate: bool = True) -> bytes:
    """A request as an authority gets it."""
    fields = {
        "version": 1,
        "message_imprint": {"hash_algorithm": {"algorithm": algorithm}, "hashed_message": digest},
        "cert_req": certificate,
    }
    if nonce is not None:
        fields["nonce"] = nonce
    encoded: bytes = tsp.TimeStampReq(fields).dump()
    return encoded


def read_query(request: bytes) -> tuple[bytes, int]:
    """Digest and nonce of a request."""
    asked = tsp.TimeStampReq.load(request)
    return asked["message_imprint"]["hashed_message"].native, asked["nonce"].native


@contextmanager
def honest_server(maker: TokenMaker | None = None, status: StatusMaker | None = None) -> Iterator[str]:
    """The demonstration's authority over HTTP, in a thread; yields its address. It is also the proxy for status."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(serve(maker or token_maker(), 0, status=status or StatusMaker(pki().folder)))
    port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@dataclass
class Answer:
    """What a lying server sends back."""

    body: bytes = b""
    status: int = 200
    kind: str = "application/timestamp-reply"
    length: int | None = None


def revocation(proxy: str, **changes: object) -> OnlineRevocation:
    """Asks who was revoked, by way of ``proxy``."""
    asking = Asking(party="The issuer", fault=RevocationUnavailable, timeout=5.0, proxy=proxy)
    return OnlineRevocation(**{"trust_roots": roots(), "asking": asking, **changes})  # type: ignore[arg-type]


@contextmanager
def lying_server(answer: Callable[[bytes], Answer], *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers with what ``answer`` makes of a request's body, or of the address that is fetched."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._say(answer(self.rfile.read(int(self.headers["Content-Length"]))))

        def _say(self, said: Answer) -> None:
            self.send_response(said.status)
            self.send_header("Content-Type", said.kind)
            self.send_header("Content-Length", str(len(said.body) if said.length is None else said.length))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(said.body)
            self.close_connection = True

        def do_GET(self) -> None:
            self._say(answer(self.path.encode()))

        def log_request(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def client(url: str, **changes: object) -> HttpTimeStampAuthority:
    return HttpTimeStampAuthority(url, **{"trust_roots": roots(), "timeout": 5.0, **changes})  # type: ignore[arg-type]


def tsa_credential(
    folder: Path,
    *,
    usage: x509.ExtendedKeyUsage | None,
    critical: bool = True,
    days: int = 5,
    status: bool = False,
) -> Credential:
    """A key with a certificate by the test PKI that is almost fit for time-stamps.

    Args:
        folder: where the files go.
        usage: extended key usage, if any.
        critical: whether that is critical.
        days: end of validity from now; negative for one that has ended.
        status: whether it names who says whether it was revoked.
    """
    issuing = pki().folder / "issuing.key.pem"
    issuer_key = load_pem_private_key(issuing.read_bytes(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    issuer_file = pki().folder / "issuing.cert.pem"
    issuer = x509.load_pem_x509_certificate(issuer_file.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    end = datetime.now(UTC) + timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Odd TSA (fictional)")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=30))
        .not_valid_after(end)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(usage, critical=critical)
    if status:
        name = x509.UniformResourceIdentifier(f"{STATUS_URL}/ocsp")
        access = [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, name)]
        builder = builder.add_extension(x509.AuthorityInformationAccess(access), critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    odd = Credential(folder / "odd.key.pem", folder / "odd.cert.pem", issuer_file)
    odd.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    odd.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    return odd


def tls_context(folder: Path, *names: str) -> ssl.SSLContext:
    """A server's TLS context; its certificate, for 127.0.0.1 and ``names``, stands in ``folder`` as ``tls.pem``."""
    known = [x509.IPAddress(IPv4Address("127.0.0.1")), *(x509.DNSName(each) for each in names)]
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test server (fictional)")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(private + certificate.public_bytes(Encoding.PEM))
    (folder / "tls.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


STAMPING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])


def plain_pdf(*, pages: int = 1) -> bytes:
    """A document by reportlab."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True)
    for number in range(pages):
        canvas.drawString(72, 720, f"Page {number + 1}")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def form_pdf() -> bytes:
    """A document with one text field."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True)
    canvas.drawString(72, 720, "Name:")
    canvas.acroForm.textfield(name="name", x=120, y=710, width=200, height=20, value="")
    canvas.save()
    return out.getvalue()


def sample_documents() -> list[Path]:
    """Our own documents by several producers, and the samples beside the checkout where there are any."""
    own = sorted((ROOT / "tests" / "documents").glob("*.pdf"))
    return own + sorted((ROOT.parent / "shared" / "samples").glob("*.pdf"))


def outside(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run an outside judge; without it the test is skipped, on CI it fails."""
    if shutil.which(tool) is None:
        missing = f"{tool} is not installed"
        if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
            pytest.fail(missing)
        pytest.skip(missing)
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)


def _regular(sealed: bytes) -> Any:
    # Some producers' files are not by the letter.
    return PdfFileReader(io.BytesIO(sealed), strict=False).embedded_regular_signatures


def extracted(sealed: bytes, folder: Path) -> tuple[Path, Path]:
    """Files with what the last seal signs, and with its CMS; a document time-stamp behind it is none."""
    start, size, resume, rest = _regular(sealed)[-1].byte_range
    data, cms = folder / "data", folder / "cms"
    data.write_bytes(sealed[start : start + size] + sealed[resume : resume + rest])
    padded = bytes.fromhex(sealed[size + 1 : resume - 1].decode())
    # Its own length says where it ends: a signature may end in zeros as the padding does.
    octets = padded[1] & 0x7F
    cms.write_bytes(padded[: 2 + octets + int.from_bytes(padded[2 : 2 + octets], "big")])
    return data, cms


def judged_by_openssl(sealed: bytes, folder: Path) -> None:
    """OpenSSL must call the last seal a valid CAdES signature of what its byte range covers."""
    data, cms = extracted(sealed, folder)
    (folder / "roots").write_bytes(b"".join(root.public_bytes(Encoding.PEM) for root in roots()))
    verified = outside(
        "openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", cms,
        "-content", data, "-CAfile", folder / "roots", "-purpose", "any", "-out", folder / "out",
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr


def certificate_of(sealed: bytes) -> x509.Certificate:
    """The certificate of the last seal."""
    reader = PdfFileReader(io.BytesIO(sealed))
    return x509.load_der_x509_certificate(reader.embedded_signatures[-1].signer_cert.dump())
