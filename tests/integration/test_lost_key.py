"""The loss of a key: exactly what it protected can't be read, the rest goes on, and the key found again heals all."""

import uuid
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import text

from service.db.ids import DELIVERY, parse_id
from service.domain.errors import ZendingError
from service.embedded.fictional import RECIPIENTS
from service.usecases import mailbox
from service.usecases.personal import PLATFORM, open_personal
from service.vault.errors import KeyDestroyed, KeyLost
from service.vault.keyring.file import FileKeyRing
from tests.pipeline_support import Pipeline
from tests.usecase_support import activate, change, status, with_post

Sender = Callable[..., uuid.UUID]


def readable(pipeline: Pipeline, sender: uuid.UUID) -> tuple[set[str], set[str]]:
    """What of an organisation's rows and objects can be read, and what can't: (readable, unreadable)."""
    context = pipeline.context
    good: set[str] = set()
    bad: set[str] = set()

    def note(name: str, read: Callable[[], object]) -> None:
        try:
            read()
        except (KeyLost, KeyDestroyed):
            bad.add(name)
        else:
            good.add(name)

    with context.database.transaction(organisations=[sender, PLATFORM]) as session:
        for delivery, personal in session.execute(text("SELECT id, personal FROM delivery")).all():
            note(f"delivery {delivery}", partial(open_personal, context, bytes(personal), sender, delivery))
        for owner, subject, role, path in session.execute(
            text("SELECT organisation_id, subject_id, role, path FROM vault_object WHERE kept_at IS NOT NULL")
        ).all():
            if owner == sender:
                note(f"object {path}", partial(context.vault.read, path, sender, subject, role))
    return good, bad


@pytest.fixture
def keyring(pipeline: Pipeline) -> FileKeyRing:
    """The same folder of keys, looked at anew each time: as after the minute that a process may keep a key."""
    ring = FileKeyRing(pipeline.application.settings.keys_folder / "keyring", max_age=0)
    vault = type(pipeline.context.vault)(pipeline.application.store, ring)
    change(pipeline, keyring=ring, vault=vault)
    return ring


def test_exactly_what_a_lost_key_protected_is_lost_until_it_is_back(
    pipeline: Pipeline, organisation: Sender, keyring: FileKeyRing
) -> None:
    with_post(pipeline)
    reader = activate(pipeline, "an")
    hurt, other = organisation(), organisation()
    assert RECIPIENTS["an"].number
    for sender in (hurt, other):
        pipeline.hand_in(sender, "an")
    pipeline.work()
    waiting = {sender: pipeline.hand_in(sender, "jan").delivery_id for sender in (hurt, other)}
    pipeline.work()
    before = {sender: readable(pipeline, sender) for sender in (hurt, other)}
    assert all(not bad for _, bad in before.values())
    assert len(mailbox.messages(pipeline.context, reader, cursor=None, limit=10).items) == 2

    (key,) = [facts for facts in keyring.listing() if facts.organisation == hurt]
    file = pipeline.application.settings.keys_folder / "keyring" / f"{key.id}.key"
    material = file.read_bytes()
    file.unlink()

    assert readable(pipeline, hurt) == (set(), before[hurt][0])
    assert readable(pipeline, other) == before[other]
    assert {facts.id: facts.state for facts in keyring.listing()}[key.id] == "lost"
    with pytest.raises(KeyLost) as told:
        pipeline.hand_in(hurt, "jan")
    assert told.value.code == "key_lost", "never a new key under the lost one's name"
    # What belongs to others goes on: a batch that would have mixed both, and a mailbox with messages of both.
    assert pipeline.close_batches() == 1
    pipeline.work()
    assert status(pipeline, other, waiting[other]) == "handed_over"
    assert len(mailbox.messages(pipeline.context, reader, cursor=None, limit=10).items) == 1
    # A new generation takes what is handed in from now on.
    assert key.year is not None
    fresh = keyring.rotate(hurt, key.year)
    assert fresh.id != key.id
    after = pipeline.hand_in(hurt, "jan").delivery_id
    good, bad = readable(pipeline, hurt)
    assert bad == before[hurt][0]
    assert f"delivery {parse_id(DELIVERY, after)}" in good

    file.write_bytes(material)
    file.chmod(0o600)
    assert readable(pipeline, hurt)[1] == set()
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    assert status(pipeline, hurt, waiting[hurt]) == "handed_over"


def test_a_destroyed_year_is_gone_in_all_its_generations_and_nothing_else_is(
    pipeline: Pipeline, organisation: Sender, keyring: FileKeyRing
) -> None:
    hurt, other = organisation(), organisation()
    for sender in (hurt, other):
        pipeline.hand_in(sender)
    (key,) = [facts for facts in keyring.listing() if facts.organisation == hurt]
    assert key.year is not None
    keyring.rotate(hurt, key.year)
    pipeline.hand_in(hurt)
    whole = {sender: readable(pipeline, sender)[0] for sender in (hurt, other)}
    keyring.destroy_year(hurt, key.year)
    assert readable(pipeline, hurt) == (set(), whole[hurt])
    assert readable(pipeline, other) == (whole[other], set())
    assert {facts.state for facts in keyring.line(hurt, key.year)} == {"destroyed"}
    with pytest.raises(ZendingError):
        pipeline.hand_in(hurt)
