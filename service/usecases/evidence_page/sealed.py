"""The page made and sealed."""

import msgspec

from service.domain.errors import Conflict, Retryable
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.evidence_page.contents import contents
from service.usecases.evidence_page.rendering import render
from service.usecases.evidence_page.told import Evidence
from service.usecases.evidence_page.wording import wording
from service.usecases.views import File
from signing.errors import SigningError


class EvidenceNotPublished(Conflict):
    """No signed checkpoint covers the evidence yet, so there is nothing that a page could prove."""

    code = "evidence_not_published"
    sentence = "This evidence is not in the published log yet. Ask again in a few seconds."


def sealed_page(context: Context, dossier: Dossier, document: dict[str, object]) -> File:
    """One evidence as a sealed PDF in the delivery's language, named by the evidence's id.

    No transaction should be open: the seal's time-stamp comes over the network.

    Args:
        context: its sealers and clock are used.
        dossier: the delivery, which gives the language and the seal.
        document: the evidence with its proof, as ``service.usecases.evidence.whole`` gives it.

    Raises:
        EvidenceNotPublished: ask again in a moment.
        Retryable: the seal could not be made at the moment.
    """
    if document["proof"] is None:
        raise EvidenceNotPublished
    now = context.clock()
    evidence = msgspec.convert(document, Evidence)
    page = contents(evidence, wording(dossier.delivery.language), drawn_up=now)
    pdf = render(page, msgspec.json.encode(document), at=now)
    try:
        sealed = context.sealer(dossier.organisation).seal(pdf, at=now)
    except SigningError as error:
        if not error.retryable:
            raise
        raise Retryable("The page could not be sealed at the moment. Ask again later.", code=error.code) from error
    return File(page.file_name, sealed)
