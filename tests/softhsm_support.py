"""A software token (SoftHSM2) for tests: initialised, filled and destroyed by its own tool, as an operator does it."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from service.embedded.pki import Algorithm
from signing.algorithms import Mechanism
from signing.keys.pkcs11 import KeyAddress, Pkcs11SealKey
from signing.keys.pkcs11_module import TokenAddress
from tests.signing_support import credential, outside

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "2468135790"
SECURITY_OFFICERS_PIN = "97531864"

_PUT_CERTIFICATES = """
import sys, pkcs11
from pathlib import Path
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
module, label, pin, identity, *files = sys.argv[1:]
token = pkcs11.lib(module).get_token(token_label=label)
with token.open(rw=True, user_pin=pin) as session:
    for number, file in enumerate(files):
        for certificate in x509.load_pem_x509_certificates(Path(file).read_bytes()):
            session.create_object({
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE, pkcs11.Attribute.TOKEN: True,
                pkcs11.Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
                pkcs11.Attribute.ID: bytes.fromhex(identity) if number == 0 else b"issuer",
                pkcs11.Attribute.SUBJECT: certificate.subject.public_bytes(),
                pkcs11.Attribute.VALUE: certificate.public_bytes(Encoding.DER),
            })
"""


@cache
def folder() -> Path:
    """Where this process's tokens lie; SoftHSM finds them by its variable."""
    made = Path(tempfile.mkdtemp(prefix="zending-softhsm-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    (made / "tokens").mkdir()
    configuration = made / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {made}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    return made


def variables() -> dict[str, str]:
    """What lets another process find the tokens of this one."""
    return {"SOFTHSM2_CONF": str(folder() / "softhsm2.conf")}


def tool(*arguments: str | Path) -> None:
    folder()
    done = outside("softhsm2-util", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def new_token(label: str, *, pin: str = PIN) -> TokenAddress:
    """An empty token."""
    tool("--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", SECURITY_OFFICERS_PIN)
    return TokenAddress(MODULE, label)


def remove_token(label: str) -> None:
    tool("--delete-token", "--token", label)


def import_key(label: str, file: Path, name: str, *, pin: str = PIN) -> str:
    """The key in a PEM file into a token, under a name; gives its id in hexadecimal."""
    identity = name.encode().hex()
    key = load_pem_private_key(file.read_bytes(), None)
    draft = folder() / f"{label}-{name}.p8"
    draft.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tool("--import", draft, "--token", label, "--label", name, "--id", identity, "--pin", pin)
    draft.unlink()
    return identity


def put_key(label: str, algorithm: Algorithm, *, pin: str = PIN, certificates: bool = False) -> KeyAddress:
    """A seal key of the test PKI into a token, labelled by its kind; with its certificate and issuers or not."""
    made = credential(algorithm)
    identity = import_key(label, made.key, algorithm, pin=pin)
    if certificates:
        arguments = (MODULE, label, pin, identity, str(made.certificate), str(made.chain))
        subprocess.run([sys.executable, "-c", _PUT_CERTIFICATES, *arguments], check=True, timeout=60)
    return KeyAddress(label=algorithm)


@cache
def shared_token() -> TokenAddress:
    """One token with a key of each kind, for tests that leave it as it is."""
    address = new_token("shared")
    for algorithm in ("p-256", "p-384", "rsa-3072"):
        put_key("shared", algorithm, certificates=True)
    return address


def hsm_key(algorithm: Algorithm = "p-256", mechanism: Mechanism | None = None) -> Pkcs11SealKey:
    """A key of the shared token; its certificate and issuers come from there too."""
    return Pkcs11SealKey(shared_token(), lambda: PIN, KeyAddress(label=algorithm), mechanism=mechanism)
