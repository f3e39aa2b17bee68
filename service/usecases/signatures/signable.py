"""Whether a document can bear signatures and the seal at all: found out before anybody is asked to sign it."""

from datetime import datetime
from typing import Final

import structlog

from service.db.models import Organisation
from service.domain.errors import DocumentRefused, FieldError
from service.engine.patience import OutOfPatience, patience
from service.usecases.context import Context
from signing.errors import SigningError, Unsealable
from signing.prepared import check_signable

log = structlog.get_logger()

_MEMORY: Final = 1 << 30


def check(context: Context, organisation: Organisation, pdf: bytes, *, pointer: str, at: datetime) -> None:
    """Hold a document against what a signature and the organisation's seal would refuse later.

    Raises:
        DocumentRefused: with the code that signing or sealing would give.
    """
    try:
        with patience(memory=_MEMORY):
            check_signable(pdf, at=at)
            context.sealer(organisation).check(pdf, at=at)
    except (Unsealable, OutOfPatience) as error:
        code = error.code if isinstance(error, Unsealable) else "too_complex"
        detail = "Nobody could sign this PDF: nothing can be added to it."
        raise DocumentRefused(detail, code=code, errors=[FieldError(pointer, code, detail)]) from None
    except SigningError as error:
        # The key is away for the moment: that is no fault of the document, and it need not be there before the end.
        log.info("seal_not_tried", organisation=str(organisation.id), reason=error.code)
