"""Reading returned mail: no crash loses any, what can't be handled rings, and the whole way goes by SMTP."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from service.domain.errors import Retryable
from service.notifications.base import About, NoticeKind
from service.notifications.smtp import SmtpNotifier
from service.usecases import activation, bounces, operations, recovery
from service.usecases.bounces import Effect
from service.usecases.heartbeats import beat, returned_mail
from tests.bounce_support import CORPUS, FAILURE, SENT, Back, arrived, opened
from tests.embedded_support import until
from tests.identity_support import free_port, wait_for_port
from tests.pipeline_support import Pipeline
from tests.usecase_support import (
    Sender,
    activate,
    change,
    deliver,
    events,
    reader,
    with_post,
)


@pytest.fixture
def back(pipeline: Pipeline) -> Back:
    return opened(pipeline)


def test_a_crash_before_or_after_the_commit_loses_nothing_and_doubles_nothing(
    pipeline: Pipeline, organisation: Sender, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation()
    with_post(pipeline)
    activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    name = back.put("postfix-no-such-user", arrived(delivery))

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("COMMIT", None, Exception("the server is gone"))

    with monkeypatch.context() as patch:
        patch.setattr("service.usecases.progress.Progress.write", away)
        with pytest.raises(OperationalError):
            back.read()
    assert back.inside("new") == {name}
    assert FAILURE not in events(pipeline, sender, delivery)
    for place in ("service.usecases.bounces.mark_unreachable", "service.notifications.maildir.Maildir.settle"):
        with monkeypatch.context() as patch:
            patch.setattr(place, away)
            with pytest.raises(OperationalError):
                back.read()
        assert back.inside("new") == {name}
    assert back.read() == {Effect.REPEATED: 1}
    assert events(pipeline, sender, delivery).count(FAILURE) == 1
    # What was not marked before the crash is marked now.
    assert activation.state(pipeline.context, reader(pipeline)).unreachable_since is not None


def test_one_that_can_not_be_handled_is_set_aside_rings_and_holds_nobody_up(
    pipeline: Pipeline, organisation: Sender, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation()
    with_post(pipeline)
    activate(pipeline)
    activate(pipeline, "cem", email="cem@voorbeeld.test")
    good, bad = deliver(pipeline, sender, "an"), deliver(pipeline, sender, "cem")
    back.put("postfix-no-such-user", arrived(bad), "bad")
    back.put("postfix-no-such-user", arrived(good), "good")
    (back.folder / "new" / "nested").write_bytes(b"Content-Type: message/rfc822\n\n" * 1000)
    (back.folder / "new" / "folder").mkdir()
    happen = bounces._happen

    def poisoned(progress: Any, known: Any, about: About, dossier: Any) -> Effect:
        if about == arrived(bad):
            raise ZeroDivisionError
        return happen(progress, known, about, dossier)

    monkeypatch.setattr(bounces, "_happen", poisoned)
    assert back.read() == {Effect.EVIDENCED: 1, Effect.ASIDE: 3}
    assert back.inside(".Aside/new") == {"bad", "nested", "folder"}
    assert back.inside("cur") == {"good:2,S"}
    assert events(pipeline, sender, good)[-1] == FAILURE
    # The scheduler's sign of life tells it, and the status rings.
    assert returned_mail(back.returns) == {"aside": 3, "oldest": 0, "unreadable": 0}
    told = {"returned_mail": returned_mail(back.returns)}
    beat(pipeline.context, "scheduler", lambda: told, host="mars")
    found = operations.status(pipeline.context, pipeline.application.promises, {}).findings
    assert [each.value for each in found if each.code == "ReturnedMailAside"] == [3]
    # Mended, it is put back and read.
    monkeypatch.setattr(bounces, "_happen", happen)
    (back.folder / ".Aside" / "new" / "bad").rename(back.folder / "new" / "bad")
    assert back.read() == {Effect.EVIDENCED: 1}


def test_two_schedulers_at_once_do_no_harm(pipeline: Pipeline, organisation: Sender, back: Back) -> None:
    sender = organisation()
    with_post(pipeline)
    for key in ("an", "cem"):
        activate(pipeline, key)
    ids = [deliver(pipeline, sender, key) for key in ("an", "cem")]
    for number in range(60):
        back.put("postfix-no-such-user", arrived(ids[number % 2]), f"{number:02d}")
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(back.read) for _ in range(4)]
    tallies = [each.result() for each in done]
    assert sum(tally.get(Effect.EVIDENCED, 0) for tally in tallies) == 2
    assert all(tally.keys() <= {Effect.EVIDENCED, Effect.REPEATED} for tally in tallies)
    assert len(back.inside("cur")) == 60
    for delivery in ids:
        assert events(pipeline, sender, delivery).count(FAILURE) == 1


def test_nothing_personal_is_logged(pipeline: Pipeline, organisation: Sender, back: Back) -> None:
    sender = organisation()
    with_post(pipeline)
    activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    for file in sorted(CORPUS.glob("*.eml")):
        back.put(file.stem, arrived(delivery))
    (back.folder / "new" / "folder").mkdir()
    with capture_logs() as logs:
        tally = back.read()
    assert tally[Effect.EVIDENCED] == 1
    assert {each["event"] for each in logs} >= {"notice_bounced", "mail_read_back", "returned_mail_not_read"}
    text = repr(logs).lower()
    for secret in ("voorbeeld", "@", "bounces+", "peeters", "mailer-daemon", "subject:"):
        assert secret not in text


def test_a_folder_that_is_not_there_rings(back: Back) -> None:
    assert back.read() == {}
    shutil.rmtree(back.folder)
    with pytest.raises(FileNotFoundError):
        back.read()
    assert returned_mail(back.returns)["unreadable"] == 1


def test_a_round_is_bounded(pipeline: Pipeline, back: Back) -> None:
    for _ in range(7):
        back.put("postfix-no-such-user", "stranger@zending.test")
    assert bounces.read_back(pipeline.context, back.returns, most=5).total() == 5
    assert bounces.read_back(pipeline.context, back.returns, seconds=-1).total() == 0
    assert len(back.inside("new")) == 2
    bounces.read_all(pipeline.context, back.returns)
    assert back.inside("new") == set()


def test_what_was_settled_long_ago_is_removed_and_what_was_set_aside_stays(back: Back) -> None:
    back.put("postfix-no-such-user", "stranger@zending.test", "old")
    back.put("postfix-no-such-user", "stranger@zending.test", "new")
    (back.folder / "new" / "nested").write_bytes(b"Content-Type: message/rfc822\n\n" * 1000)
    back.read()
    for file in ("cur/old:2,S", ".Aside/new/nested"):
        os.utime(back.folder / file, (1, 1))
    bounces.tidy(back.returns)
    assert (back.inside("cur"), back.inside(".Aside/new")) == ({"new:2,S"}, {"nested"})


def test_nothing_is_read_back_into_a_database_that_was_restored(pipeline: Pipeline, back: Back) -> None:
    name = back.put("postfix-no-such-user", About(NoticeKind.CODE, uuid.uuid4()))
    recovery.begin(pipeline.context, reason="test", actor="test")
    with pytest.raises(Retryable):
        back.read()
    assert back.inside("new") == {name}


@pytest.fixture
def sink(tmp_path: Path, back: Back) -> Iterator[str]:
    """A mail server that bounces by mail; it delivers what comes back into the service's Maildir."""
    port = free_port()
    arguments = ["--port", str(port), "--folder", str(tmp_path / "mail")]
    arguments += ["--bounces", "bounces@zending.test", "--maildir", str(back.folder)]
    process = subprocess.Popen([sys.executable, "-m", "service.embedded.mail", *arguments])
    try:
        wait_for_port(port, process)
        yield f"smtp://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_a_bounce_goes_the_whole_way_by_smtp(
    pipeline: Pipeline, organisation: Sender, back: Back, sink: str, tmp_path: Path
) -> None:
    sender = organisation()
    people = {"an": "gone.an@voorbeeld.test", "cem": "slow.cem@voorbeeld.test", "lena": "away.lena@voorbeeld.test"}
    for key, email in people.items():
        activate(pipeline, key, email=email)
    notifier = SmtpNotifier(sink, "Zending <no-reply@zending.test>", envelopes=back.returns.envelopes)
    change(pipeline, notifier=notifier)
    ids = {key: deliver(pipeline, sender, key) for key in people}
    until(lambda: len(back.inside("new")) == len(people), seconds=20)
    assert back.read() == {Effect.EVIDENCED: 1, Effect.NO_FAILURE: 2}
    last = {key: events(pipeline, sender, delivery)[-1] for key, delivery in ids.items()}
    assert last == {"an": FAILURE, "cem": SENT, "lena": SENT}
    for file in (tmp_path / "mail").glob("*.eml"):
        # Nothing of it tells what it is about.
        assert not any(delivery.encode() in file.read_bytes() for delivery in ids.values())
