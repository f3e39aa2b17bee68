"""Sessions on a real database: found by a hash, unreadable without the key, over when their time is."""

import dataclasses
import os
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import select

from service.bootstrap import Application
from service.db.models import WebSession
from service.identity.base import LogIn, PendingLogIn, Person
from service.usecases import sessions
from service.usecases.context import Context
from service.vault.errors import VaultIntegrityError
from service.web import sessions as browser

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ID = bytes(range(32))


def at(application: Application, moment: datetime) -> Context:
    """The wired parts, at some moment."""
    return dataclasses.replace(application.context, clock=lambda: moment)


def row(context: Context, id_hash: bytes = ID) -> WebSession:
    with context.database.transaction() as session:
        return session.scalars(select(WebSession).where(WebSession.id_hash == id_hash)).one()


def test_a_session_is_found_until_its_time_is_over(application: Application) -> None:
    sessions.begin(at(application, NOW), ID, {"a": 1}, lifetime=HOUR)
    assert sessions.find(at(application, NOW + 59 * MINUTE), ID, idle=HOUR) == b'{"a":1}'
    assert sessions.find(at(application, NOW + HOUR), ID, idle=2 * HOUR) is None
    assert sessions.find(at(application, NOW), os.urandom(32), idle=HOUR) is None


def test_a_session_that_is_not_used_ends_earlier(application: Application) -> None:
    sessions.begin(at(application, NOW), ID, {}, lifetime=9 * HOUR)
    assert sessions.find(at(application, NOW + 50 * MINUTE), ID, idle=HOUR) is not None
    assert sessions.find(at(application, NOW + 100 * MINUTE), ID, idle=HOUR) is not None
    assert sessions.find(at(application, NOW + 161 * MINUTE), ID, idle=HOUR) is None


def test_what_a_page_asks_by_itself_is_no_use(application: Application) -> None:
    sessions.begin(at(application, NOW), ID, {}, lifetime=9 * HOUR)
    assert sessions.find(at(application, NOW + 59 * MINUTE), ID, idle=HOUR, touch=False) is not None
    assert sessions.find(at(application, NOW + 61 * MINUTE), ID, idle=HOUR, touch=False) is None


def test_being_seen_is_written_once_a_minute(application: Application) -> None:
    sessions.begin(at(application, NOW), ID, {}, lifetime=9 * HOUR)
    sessions.find(at(application, NOW + timedelta(seconds=59)), ID, idle=HOUR)
    assert row(application.context).seen_at == NOW
    sessions.find(at(application, NOW + MINUTE), ID, idle=HOUR)
    assert row(application.context).seen_at == NOW + MINUTE


def test_a_row_tells_nothing_and_can_not_be_passed_on(application: Application) -> None:
    context = at(application, NOW)
    sessions.begin(context, ID, {"name": "An Peeters"}, lifetime=HOUR)
    sealed = row(context).data
    assert b"Peeters" not in sealed
    other = os.urandom(32)
    sessions.begin(context, other, {"name": "Somebody"}, lifetime=HOUR)
    with context.database.transaction() as session:
        session.scalars(select(WebSession).where(WebSession.id_hash == other)).one().data = sealed
    with pytest.raises(VaultIntegrityError):
        sessions.find(context, other, idle=HOUR)


def test_a_session_can_be_changed_while_it_lasts(application: Application) -> None:
    context = at(application, NOW)
    sessions.begin(context, ID, {"a": 1}, lifetime=HOUR)
    sessions.change(context, ID, {"a": 2})
    assert sessions.find(context, ID, idle=HOUR) == b'{"a":2}'
    sessions.end(context, ID)
    sessions.change(context, ID, {"a": 3})
    sessions.end(context, ID)
    assert sessions.find(context, ID, idle=HOUR) is None


def test_what_is_taken_is_taken_once_and_in_time(application: Application) -> None:
    context = at(application, NOW)
    sessions.begin(context, ID, {"a": 1}, lifetime=HOUR)
    assert sessions.take(context, ID) == b'{"a":1}'
    assert sessions.take(context, ID) is None
    sessions.begin(context, ID, {"a": 1}, lifetime=HOUR)
    assert sessions.take(at(application, NOW + HOUR), ID) is None
    assert sessions.take(context, ID) is None


def test_a_log_in_comes_back_as_it_went(application: Application) -> None:
    person = Person(
        issuer="https://login.example",
        subject="an",
        name="An Peeters",
        national_number="85073003328",
        auth_time=NOW,
        roles=frozenset({"reader"}),
    )
    cookie = browser.begin(application, LogIn(person, "id-token"))
    assert cookie.value is not None
    found = browser.find(application, cookie.value, touch=True)
    assert found is not None
    assert found.person == person
    assert len(found.data.csrf_secret) == 32
    assert "85073003328" not in repr(found)
    browser.change(application, found, msgspec.structs.replace(found.data, organisation="org"))
    again = browser.find(application, cookie.value, touch=False)
    assert again is not None
    assert again.data.organisation == "org"
    browser.end(application, cookie.value)
    assert browser.find(application, cookie.value, touch=True) is None


def test_the_secret_of_a_cookie_is_nowhere_in_the_database(application: Application) -> None:
    cookie = browser.begin(application, LogIn(Person(issuer="i", subject="s"), "id-token"))
    assert cookie.value is not None
    with application.context.database.transaction() as session:
        [kept] = session.scalars(select(WebSession)).all()
    assert cookie.value.encode() not in kept.id_hash + kept.data


def test_a_log_in_under_way_belongs_to_the_browser_that_began_it(application: Application) -> None:
    pending = browser.Pending(PendingLogIn("state", "nonce", "verifier"), "/letters")
    cookie = browser.keep_pending(application, pending)
    assert browser.take_pending(application, {}) is None
    assert browser.take_pending(application, {cookie.key: "other"}) is None
    assert browser.take_pending(application, {cookie.key: str(cookie.value)}) == pending
    assert browser.take_pending(application, {cookie.key: str(cookie.value)}) is None
