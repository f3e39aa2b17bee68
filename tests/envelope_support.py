"""Letters that share envelopes: made, handed over, and told of."""

import uuid
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

from printing.exchange import OUTCOMES, LetterEvent, PostalEvent
from printing.manifest import Manifest, ManifestLetter, read_manifest
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender

HOME = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": "9000", "municipality": "Gent"}
OTHER = HOME | {"name": "Ann Claes"}


def sharing_senders(organisation: Sender, database: TestDatabase) -> Sender:
    """Makes organisations whose letters may share envelopes."""

    def made() -> uuid.UUID:
        sender = organisation()
        execute(database, f"UPDATE organisation SET share_envelopes = true WHERE id = '{sender}'")
        return sender

    return made


def to(pipeline: Pipeline, sender: uuid.UUID, address: dict[str, str] = HOME, **fields: Any) -> str:
    return pipeline.hand_in(sender, "jan", postal_address=address, **fields).delivery_id


def packages(pipeline: Pipeline) -> list[tuple[Manifest, dict[str, bytes]]]:
    found = []
    for file in sorted(Path(pipeline.application.settings.print_folder).glob("*_0RQ.ZIP")):
        with zipfile.ZipFile(file) as package:
            files = {name: package.read(name) for name in package.namelist()}
        found.append((read_manifest(BytesIO(file.read_bytes())), files))
    return found


def entries(pipeline: Pipeline) -> dict[str, ManifestLetter]:
    """Every printing in its newest manifest, by delivery and attempt."""
    return {
        f"{entry.id.removesuffix('-1')}/{entry.attempt}": entry
        for manifest, _ in packages(pipeline)
        for entry in manifest.letters
    }


def print_all(pipeline: Pipeline) -> None:
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()


def of_set(number: str, told: PostalEvent, pipeline: Pipeline, **fields: Any) -> LetterEvent:
    given = {"event_id": uuid.uuid4().hex, "outcome": OUTCOMES[told], "at": pipeline.now} | fields
    return LetterEvent(set=number, event=told, **given)
