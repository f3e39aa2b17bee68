"""For tests of returned mail: mails of the corpus, put where the operator's mail server would put them."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from service.db.ids import DELIVERY, parse_id
from service.notifications.base import About, NoticeKind
from service.usecases import bounces, deliveries
from service.usecases.bounces import Effect, Returns
from tests.pipeline_support import Pipeline

CORPUS = Path(__file__).parent / "returned_mail"
FAILURE, SENT = "ConsignmentNotificationFailure", "ConsignmentNotification"


@dataclass(frozen=True)
class Back:
    """What comes back to the service: mails are put where the operator's mail server would put them."""

    pipeline: Pipeline
    returns: Returns
    folder: Path

    def put(self, name: str, about: About | str, file: str | None = None) -> str:
        """One of the corpus, about a notice, or to any address."""
        to = about if isinstance(about, str) else self.returns.envelopes.sender(about)
        file = file or f"{len(list(self.folder.rglob('*.mail'))):06d}.mail"
        (self.folder / "new").mkdir(exist_ok=True)
        (self.folder / "new" / file).write_bytes(
            (CORPUS / f"{name}.eml").read_bytes().replace(b"@RETURN@", to.encode())
        )
        return file

    def read(self) -> dict[Effect, int]:
        return dict(bounces.read_back(self.pipeline.context, self.returns))

    def inside(self, folder: str) -> set[str]:
        return {file.name for file in (self.folder / folder).iterdir()} if (self.folder / folder).is_dir() else set()


def opened(pipeline: Pipeline) -> Back:
    """The service's own folder."""
    returns, maildir = pipeline.application.returns, pipeline.application.settings.bounce_maildir
    assert returns is not None
    assert maildir is not None
    (maildir / "cur").mkdir()
    return Back(pipeline, returns, maildir)


def arrived(delivery: str, leg: int = 1, kind: NoticeKind = NoticeKind.ARRIVED) -> About:
    return About(kind, parse_id(DELIVERY, delivery), leg)


def told(pipeline: Pipeline, sender: uuid.UUID, delivery: str) -> list[tuple[str, str | None]]:
    return [(each.event, each.reason) for each in deliveries.timeline(pipeline.context, sender, delivery)]
