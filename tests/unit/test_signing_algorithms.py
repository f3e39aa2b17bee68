"""Every mechanism on every kind of key, judged by others; and what its CMS says of itself."""

from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.serialization import Encoding

from service.embedded.pki import Algorithm
from signing.algorithms import Mechanism, digest
from signing.cms import SealTemplate
from signing.errors import KeyUnusable
from signing.keys import mechanism_for, mechanisms_of
from signing.seal import Sealer
from signing.validate import validate
from tests.signing_support import (
    InProcessAuthority,
    extracted,
    judged_by_openssl,
    now,
    outside,
    plain_pdf,
    roots,
    seal_key,
)

KINDS: tuple[Algorithm, ...] = ("p-256", "p-384", "rsa-3072")
EVERY = [
    (kind, mechanism) for kind in KINDS for mechanism in Mechanism if mechanism.elliptic is not kind.startswith("rsa")
]
every = pytest.mark.parametrize(("kind", "mechanism"), EVERY, ids=str)


@every
def test_others_call_it_valid(kind: Algorithm, mechanism: Mechanism, tmp_path: Path) -> None:
    sealed = Sealer(seal_key(kind, mechanism), InProcessAuthority()).seal(plain_pdf(), at=now())
    assert validate(sealed, trust_roots=roots(), at=now()).valid
    judged_by_openssl(sealed, tmp_path)
    file = tmp_path / "sealed.pdf"
    file.write_bytes(sealed)
    assert "Signature is Valid." in outside("pdfsig", "-nocert", file).stdout
    assert outside("qpdf", "--check", file).returncode == 0


@every
def test_the_cms_names_one_digest_and_one_mechanism_everywhere(
    kind: Algorithm, mechanism: Mechanism, tmp_path: Path
) -> None:
    key = seal_key(kind, mechanism)
    _, file = extracted(Sealer(key, None).seal(plain_pdf(), at=now()), tmp_path)
    signed = cms.ContentInfo.load(file.read_bytes())["content"]
    signer = signed["signer_infos"][0]
    assert signed["digest_algorithms"][0]["algorithm"].native == mechanism.digest
    assert signer["digest_algorithm"]["algorithm"].native == mechanism.digest
    assert signer["signature_algorithm"].dump() == mechanism.encoded
    attributes = {each["type"].native: each["values"][0] for each in signer["signed_attrs"]}
    protection = attributes["cms_algorithm_protection"]
    assert protection["signature_algorithm"].untag().dump() == mechanism.encoded
    assert protection["digest_algorithm"]["algorithm"].native == mechanism.digest
    reference = attributes["signing_certificate_v2"]["certs"][0]
    assert reference["hash_algorithm"]["algorithm"].native == mechanism.digest
    assert reference["cert_hash"].native == digest(mechanism.digest, key.certificate.public_bytes(Encoding.DER))


@every
def test_a_salted_signature_says_how_it_is_salted(kind: Algorithm, mechanism: Mechanism) -> None:
    algorithm = cms.SignedDigestAlgorithm.load(mechanism.encoded, strict=True)
    if not mechanism.pss:
        assert algorithm.native["algorithm"] == f"{mechanism.digest}_{'ecdsa' if mechanism.elliptic else 'rsa'}"
        return
    said = algorithm["parameters"].native
    assert said["hash_algorithm"]["algorithm"] == mechanism.digest
    assert said["mask_gen_algorithm"]["parameters"]["algorithm"] == mechanism.digest
    assert said["salt_length"] == len(digest(mechanism.digest))


@every
def test_the_space_kept_is_enough_and_not_wasted(kind: Algorithm, mechanism: Mechanism) -> None:
    key = seal_key(kind, mechanism)
    template = SealTemplate(key.certificate, key.chain, mechanism)
    sizes = []
    for number in range(64):
        attributes = template.attributes(digest(mechanism.digest, bytes([number])))
        sizes.append(len(template.fill(attributes, key.sign(attributes.digest), None)))
    # The numbers of a curve are shorter now and then; of 64 pairs one has both at full length.
    assert max(sizes) == template.largest(0)


def test_a_key_signs_by_its_usual_mechanism_unless_told_otherwise() -> None:
    usual = {kind: mechanism_for(seal_key(kind).certificate.public_key()) for kind in KINDS}
    assert usual == {
        "p-256": Mechanism.ECDSA_SHA256,
        "p-384": Mechanism.ECDSA_SHA384,
        "rsa-3072": Mechanism.RSA_SHA256,
    }
    for kind, mechanism in EVERY:
        assert mechanism_for(seal_key(kind).certificate.public_key(), mechanism) is mechanism
        assert mechanism in mechanisms_of(seal_key(kind).certificate.public_key())


@pytest.mark.parametrize(("kind", "mechanism"), [("p-256", Mechanism.PSS_SHA256), ("rsa-3072", Mechanism.ECDSA_SHA256)])
def test_a_mechanism_of_another_kind_of_key_is_refused(kind: Algorithm, mechanism: Mechanism) -> None:
    with pytest.raises(KeyUnusable, match=mechanism.value):
        seal_key(kind, mechanism)
