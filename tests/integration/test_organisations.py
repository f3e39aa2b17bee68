"""Organisations, programs and staff: made once, found again, and nobody takes another's program over."""

import pytest

from service.domain.errors import Conflict, Invalid, NotFound
from service.identity.clients import check_secret
from service.identity.scopes import Scope
from service.usecases import organisations
from service.usecases.organisations import NewClient, NewOrganisation
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender

NEW = NewOrganisation("een", "Een", "administration", "OVO000001", "een", ["Straat 1", "1000 Brussel"], "0800", "test")


def test_an_organisation_is_found_again_by_its_slug_and_left_as_it_is(
    pipeline: Pipeline, database: TestDatabase
) -> None:
    with pipeline.context.database.transaction() as session:
        first = organisations.ensure(session, NEW)
        again = NewOrganisation("een", "Anders", "enterprise", "1", "x", [], "")
        assert organisations.ensure(session, again) == first
    assert execute(database, "SELECT name, mark, return_address FROM organisation WHERE slug = 'een'") == [
        ("Een", "test", ["Straat 1", "1000 Brussel"])
    ]


def test_a_known_program_gets_the_new_secret_and_scopes(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    for secret, scopes in (("first-secret", [Scope.DELIVERIES_READ]), ("second-secret", [Scope.RECIPIENTS_LOOKUP])):
        with pipeline.context.database.transaction() as session:
            organisations.ensure_client(session, sender, NewClient("p", "P", secret, scopes))
    ((kept, scopes),) = execute(database, "SELECT secret_hash, scopes FROM client")
    assert check_secret("second-secret", kept)
    assert not check_secret("first-secret", kept)
    assert "secret" not in kept
    assert scopes == [Scope.RECIPIENTS_LOOKUP.value]


def test_a_program_of_another_organisation_is_not_taken_over(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with pipeline.context.database.transaction() as session:
        organisations.ensure_client(session, organisation(), NewClient("p", "P", "first-secret"))
    before = execute(database, "SELECT * FROM client")
    with pytest.raises(Conflict) as caught, pipeline.context.database.transaction() as session:
        organisations.ensure_client(session, organisation(), NewClient("p", "P", "second-secret"))
    assert caught.value.code == "client_taken"
    assert execute(database, "SELECT * FROM client") == before


def test_scopes_are_given_to_a_program_and_taken_away_and_none_that_is_for_persons(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with pipeline.context.database.transaction() as session:
        organisations.ensure_client(session, organisation(), NewClient("p", "P", "secret", [Scope.DELIVERIES_READ]))
        left = organisations.change_scopes(session, "p", more=[Scope.WEBHOOKS_WRITE], fewer=[Scope.DELIVERIES_READ])
    assert left == ["webhooks:write"]
    for client, scope, error in (("q", Scope.WEBHOOKS_WRITE, NotFound), ("p", Scope.OPERATIONS_WRITE, Invalid)):
        with pytest.raises(error), pipeline.context.database.transaction() as session:
            organisations.change_scopes(session, client, more=[scope])
    assert execute(database, "SELECT scopes FROM client") == [(["webhooks:write"],)]


def test_staff_is_named_once_and_can_come_back(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    for _ in range(2):
        with pipeline.context.database.transaction() as session:
            organisations.ensure_staff(session, sender, issuer="i", subject="s", role="clerk")
        assert execute(database, "SELECT role, active FROM staff") == [("clerk", True)]
        execute(database, "UPDATE staff SET active = false")
