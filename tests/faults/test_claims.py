"""Whoever dies while it takes in many documents keeps the sender's key no longer than whoever takes in one."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from service.inspection.inspector import Inspection
from service.usecases.admission import Upload
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import DOCUMENTS
from tests.usecase_support import change


@dataclass
class Looking:
    """The inspector, with a look at the claim before each document; then the claim is almost over."""

    real: Any
    database: TestDatabase
    left: list[float] = field(default_factory=list)

    def inspect(self, pdf: bytes) -> Inspection:
        statement = (
            "SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM idempotency_key WHERE status IS NULL"
        )
        self.left += [float(row[0]) for row in execute(self.database, statement)]
        execute(self.database, "UPDATE idempotency_key SET lease_until = clock_timestamp() + interval '15 seconds'")
        found: Inspection = self.real.inspect(pdf)
        return found


def test_a_claim_is_short_and_prolonged_from_document_to_document(
    pipeline: Pipeline, organisation: Callable[..., uuid.UUID], database: TestDatabase
) -> None:
    looking = Looking(pipeline.context.inspector, database)
    change(pipeline, inspector=looking)
    pdf = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()
    uploads = [Upload("attachment" if number else "document", f"{number}.pdf", pdf) for number in range(4)]
    pipeline.hand_in(organisation(), "jan", uploads=uploads)
    assert len(looking.left) == 4
    assert all(30 < seconds <= 90 for seconds in looking.left), looking.left
