"""What it costs that a seal can be seen: beside an invisible one of the same documents, in time and in bytes."""

import sys
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.measure import Result, cost, options, report, time_in_turns
from service.embedded.pki import ensure_pki, ensure_seal
from signing.appearance import Appearance, InCorner, InRectangle, Place
from signing.keys import FileSealKey
from signing.seal import Sealer

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ROOT / "tests" / "documents"
FONT = ROOT / "printing" / "fonts" / "LiberationSans-Regular.ttf"
CODE = "K7QF-9MXD-3TPA-W2HC"
PEER = "invisible"
CPU = "ms CPU/document"


def look(place: Place) -> Appearance:
    return Appearance(
        font=FONT.read_bytes(),
        organisation="Gemeente Voorbeeld",
        language="nl",
        place=place,
        check_address="https://zending.voorbeeld.be/verify?code={code}",
    )


def sealed(sealer: Sealer, pdfs: list[bytes]) -> int:
    for pdf in pdfs:
        sealer.seal(pdf, at=datetime.now(UTC), code=CODE)
    return len(pdfs)


def measure(key: FileSealKey, *, rounds: int) -> list[Result]:
    """An invisible seal, one in a given place, and one for which room is looked for."""
    pdfs = [path.read_bytes() for path in sorted(DOCUMENTS.glob("*.pdf")) if path.name != "signed-nl.pdf"]
    sealers = {
        PEER: Sealer(key, None),
        "given place": Sealer(key, None, appearance=look(InRectangle((320, 20, 580, 90)))),
        "free corner": Sealer(key, None, appearance=look(InCorner())),
    }
    spent = time_in_turns({name: partial(sealed, sealer, pdfs) for name, sealer in sealers.items()}, rounds=rounds)
    results = [
        cost(f"b-b/visible/{name.replace(' ', '-')}", spent[name].cpu, CPU, peer=PEER, peer_value=spent[PEER].cpu)
        for name in sealers
        if name != PEER
    ]
    at = datetime.now(UTC)
    size = {
        name: sum(len(sealer.seal(pdf, at=at, code=CODE)) - len(pdf) for pdf in pdfs) / len(pdfs)
        for name, sealer in sealers.items()
    }
    grown = size["given place"], size[PEER]
    results.append(cost("b-b/visible/bytes", grown[0], "bytes/document", peer=PEER, peer_value=grown[1]))
    made = time_in_turns({"look": lambda: int(bool(look(InCorner())))}, rounds=rounds)["look"]
    return [*results, cost("visible/profile", made.cpu, "ms CPU/profile")]


def main() -> None:
    chosen = options("What a visible seal costs")
    with tempfile.TemporaryDirectory() as folder:
        pki = ensure_pki(Path(folder))
        credential = ensure_seal(pki.folder, "Measuring", "p-256", algorithm="p-256")
        key = FileSealKey.from_pem(credential.key, credential.certificate, credential.chain)
        results = measure(key, rounds=5 if chosen.quick else 15)
    report(results, json_file=chosen.json)


if __name__ == "__main__":
    main()
