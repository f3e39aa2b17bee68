"""What a seal costs whose key stays in a token (PKCS#11): the token's own call, and what we put beside it.

SoftHSM2 stands for the token: its signature is made by this machine's processor, so what it costs is not a device's.
What stands beside it is ours, and the same with any device.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from typing import Any

import pkcs11
from pkcs11 import MGF, ObjectClass
from pkcs11 import Mechanism as Pkcs11Mechanism

from bench.measure import Result, cost, options, report, time_in_turns
from service.embedded.pki import Algorithm
from signing.algorithms import Mechanism, digest
from signing.keys import SealKey
from signing.seal import Sealer
from tests.signing_support import plain_pdf, seal_key
from tests.softhsm_support import MODULE, hsm_key, shared_token

CALLS = 40
WALL = "ms"


def measure(algorithm: Algorithm, mechanism: Mechanism, *, rounds: int) -> list[Result]:
    """Three figures: the signature beside the bare call, the whole seal beside it, and beside a file's key."""
    held = hsm_key(algorithm, mechanism)
    in_file = seal_key(algorithm, mechanism)
    # A session of its own; the log-in is the process's.
    session = pkcs11.lib(MODULE).get_token(token_label=shared_token().label).open()
    key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=algorithm)
    pdf = plain_pdf()
    spent = time_in_turns(
        {
            "bare": partial(_bare, key, mechanism),
            "signature": partial(_signed, held),
            "seal": partial(_sealed, Sealer(held, None), pdf),
            "file signature": partial(_signed, in_file),
            "file seal": partial(_sealed, Sealer(in_file, None), pdf),
        },
        rounds=rounds,
    )
    held.close()
    session.close()
    name = f"pkcs11/{algorithm}-{mechanism.value}"
    wall = {each: found.wall for each, found in spent.items()}
    beside, beside_file = wall["seal"] - wall["bare"], wall["file seal"] - wall["file signature"]
    return [
        cost(f"{name}/signature", wall["signature"], WALL, peer="bare token call", peer_value=wall["bare"]),
        cost(f"{name}/seal", wall["seal"], WALL, peer="bare token call", peer_value=wall["bare"]),
        cost(f"{name}/seal without its call", beside, WALL, peer="the same, key in a file", peer_value=beside_file),
    ]


def _bare(key: Any, mechanism: Mechanism) -> int:
    call: Callable[[], bytes]
    if mechanism.elliptic:
        call = partial(key.sign, digest(mechanism.digest, b"x"), mechanism=Pkcs11Mechanism.ECDSA)
    else:
        salted = (Pkcs11Mechanism.SHA256, MGF.SHA256, 32)
        call = partial(key.sign, digest("sha256", b"x"), mechanism=Pkcs11Mechanism.RSA_PKCS_PSS, mechanism_param=salted)
    for _ in range(CALLS):
        call()
    return CALLS


def _signed(key: SealKey) -> int:
    for number in range(CALLS):
        key.sign(digest(key.mechanism.digest, bytes([number])))
    return CALLS


def _sealed(sealer: Sealer, pdf: bytes) -> int:
    at = datetime.now(UTC)
    for _ in range(CALLS):
        sealer.seal(pdf, at=at)
    return CALLS


def results(*, quick: bool) -> list[Result]:
    """All figures."""
    kinds: tuple[tuple[Algorithm, Mechanism], ...] = (
        ("p-256", Mechanism.ECDSA_SHA256),
        ("rsa-3072", Mechanism.PSS_SHA256),
    )
    return [each for kind in kinds for each in measure(*kind, rounds=5 if quick else 20)]


def main() -> None:
    chosen = options("What a seal costs whose key stays in a token")
    report(results(quick=chosen.quick), json_file=chosen.json)


if __name__ == "__main__":
    main()
