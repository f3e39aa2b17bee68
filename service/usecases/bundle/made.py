"""What goes into a bundle, and under which names: the same each time, and none that tells anything about anybody."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509

from service.db.ids import DELIVERY, public_id
from service.domain.errors import Conflict
from service.domain.evidence_schema import schema
from service.domain.states import DeliveryState
from service.ledger import notes, verify
from service.usecases.bundle import certificates, check
from service.usecases.bundle.packing import packed
from service.usecases.bundle.readme import readme
from service.usecases.context import Context
from service.usecases.dossiers import Dossier

_VERIFY: Final = Path(verify.__file__)
_CHECK: Final = Path(check.__file__)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that is ready to be packed; its name is the delivery's id."""

    filename: str
    files: Sequence[tuple[str, bytes]] = field(repr=False)

    @property
    def has_documents(self) -> bool:
        """Whether there is content of the delivery in it, and not evidence alone."""
        return any(name.startswith("documents/") for name, _ in self.files)

    def stream(self) -> Iterator[bytes]:
        """The ZIP in pieces."""
        return packed(self.files)


def made(
    context: Context,
    dossier: Dossier,
    proofs: Sequence[dict[str, object]],
    scans: Sequence[tuple[str, bytes]] = (),
) -> Bundle:
    """The bundle of a delivery.

    No transaction should be open: the documents are read from the store.

    Args:
        context: its vault, the log's keys and the roots are used.
        dossier: the delivery.
        proofs: its evidence in order, as ``service.usecases.evidence.every`` gives it.
        scans: pictures of posting proofs, receipts and returned letters, by their names.

    Raises:
        Conflict: ``evidence_none``, nothing has happened yet that leaves evidence.
    """
    if not proofs:
        raise Conflict("There is no evidence of this delivery yet. Ask again in a moment.", code="evidence_none")
    documents = _documents(context, dossier)
    published = [proof for proof in proofs if proof["proof"] is not None]
    tokens = [base64.b64decode(str(proof["timestamp_token"])) for proof in published if proof["timestamp_token"]]
    origins = sorted({str(proof["checkpoint"]).split("\n", 1)[0] for proof in published} or {context.log_origin})
    files = {
        **documents,
        **{f"scans/{name}": content for name, content in scans},
        **_evidence(proofs),
        **_checkpoints(published),
        **_certificates(context.roots, tokens, list(documents.values())),
        "keys/ledger.txt": "".join(f"{key}\n" for each in origins for key in context.log_keys(each)).encode(),
        "schema/evidence.schema.json": msgspec.json.format(msgspec.json.encode(schema()), indent=2),
        "verify.py": _VERIFY.read_bytes(),
        "check.py": _CHECK.read_bytes(),
    }
    explained = readme(
        dossier.delivery.language,
        issuer=context.issuer_name,
        delivery=public_id(DELIVERY, dossier.id),
        documents=bool(documents),
        scans=bool(scans),
        pending=len(published) < len(proofs),
    )
    return Bundle(f"{public_id(DELIVERY, dossier.id)}.zip", [("README.txt", explained), *sorted(files.items())])


def _documents(context: Context, dossier: Dossier) -> dict[str, bytes]:
    """The sealed documents; none where they were never sealed, or are erased."""
    if dossier.delivery.state == DeliveryState.RECEIVED.value:
        return {}
    return {
        "documents/document.pdf" if row.position == 0 else f"documents/attachment-{row.position:02}.pdf": (
            context.vault.read(row.path, row.organisation_id, row.delivery_id, f"sealed-{row.position}")
        )
        for row in dossier.documents
        if row.sealed and row.erased_at is None
    }


def _evidence(proofs: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    return {
        f"{'pending' if proof['proof'] is None else 'evidence'}/{number:02}-{proof['record']['event']}.json": (
            msgspec.json.format(msgspec.json.encode(proof), indent=2)
        )
        for number, proof in enumerate(proofs, start=1)
    }


def _checkpoints(published: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """Each checkpoint once: as signed, the text that its time-stamp covers, and the token, for programs not ours."""
    files: dict[str, bytes] = {}
    for proof in published:
        note = str(proof["checkpoint"])
        text, _ = notes.split(note)
        name = f"checkpoints/{text.split(chr(10))[1]}-{sha256(text.encode()).hexdigest()[:8]}"
        files |= {f"{name}.note": note.encode(), f"{name}.txt": text.encode()}
        if proof["timestamp_token"]:
            files[f"{name}.tst"] = base64.b64decode(proof["timestamp_token"])
    return files


def _certificates(
    roots: Sequence[x509.Certificate], tokens: Sequence[bytes], documents: Sequence[bytes]
) -> dict[str, bytes]:
    authorities, sent = certificates.of_tokens(tokens)
    seals = certificates.of_seals(documents)
    believed = certificates.issuers([*authorities, *sent, *seals], roots)
    files = {
        "timestamp": [*authorities, *sent],
        "timestamp-ca": certificates.issuers(authorities, [*sent, *roots]),
        "seal": seals,
        "roots": believed,
    }
    return {f"certificates/{name}.pem": certificates.pem(found) for name, found in files.items()}
