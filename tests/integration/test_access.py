"""Who may act: programs by their secret, people by what is known of them, and nobody by more than that."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from service.domain.errors import Forbidden, NotFound
from service.domain.evidence import AssuranceLevel
from service.domain.evidence_record import ActedFor, ActingBasis, Identification
from service.domain.identifiers import RecipientKind
from service.identity.assertions import JWT_BEARER, AssertionCredentials, checked_jwks, read_assertion
from service.identity.base import Person
from service.identity.clients import SecretCredentials
from service.identity.errors import ClientRefused, ScopeRefused
from service.identity.grants import ClientCredentialsRequest, ExchangeRequest
from service.identity.scopes import Scope
from service.identity.tokens import AccessToken
from service.usecases import access, organisations
from service.usecases.organisations import NewClient
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, reader

ISSUER = "https://login.voorbeeld.test"


def add_client(pipeline: Pipeline, sender: uuid.UUID, *scopes: Scope) -> SecretCredentials:
    new = NewClient(f"program-{sender.hex}", "Program", "a-long-secret", scopes)
    with pipeline.context.database.transaction() as session:
        organisations.ensure_client(session, sender, new)
    return SecretCredentials(new.client_id, new.secret)


def add_staff(pipeline: Pipeline, sender: uuid.UUID, subject: str, role: str) -> None:
    with pipeline.context.database.transaction() as session:
        organisations.ensure_staff(session, sender, issuer=ISSUER, subject=subject, role=role)


def token(pipeline: Pipeline, granted: access.Granted) -> AccessToken:
    return pipeline.application.verifier.verify(granted.token.token, pipeline.now)


def ask(pipeline: Pipeline, credentials: SecretCredentials, scope: str | None = None) -> access.Granted:
    request = ClientCredentialsRequest(scope)
    return access.client_token(pipeline.context, pipeline.application.tokens, credentials, request)


def exchange(pipeline: Pipeline, person: Person, scope: str | None = None) -> access.Granted:
    request = ExchangeRequest(scope, "id-token")
    return access.exchange(pipeline.context, pipeline.application.tokens, person, request)


def person(subject: str = "s", **more: object) -> Person:
    return Person(issuer=ISSUER, subject=subject, auth_time=datetime.now(UTC), **more)  # type: ignore[arg-type]


def test_a_program_gets_the_scopes_it_was_given_and_acts_for_its_organisation(
    pipeline: Pipeline, organisation: Sender
) -> None:
    sender = organisation()
    credentials = add_client(pipeline, sender, Scope.DELIVERIES_READ, Scope.DELIVERIES_WRITE)
    granted = ask(pipeline, credentials)
    assert granted.scopes == {Scope.DELIVERIES_READ, Scope.DELIVERIES_WRITE}
    seen = token(pipeline, granted)
    assert access.organisation_of(seen) == sender
    assert (seen.client_id, seen.roles, seen.recipient) == (credentials.client_id, frozenset(), None)
    assert ask(pipeline, credentials, Scope.DELIVERIES_READ.value).scopes == {Scope.DELIVERIES_READ}
    with pytest.raises(Forbidden) as caught:
        access.reader_of(seen)
    assert caught.value.code == "not_a_recipient"


def test_wrong_unknown_and_switched_off_programs_get_one_answer(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    credentials = add_client(pipeline, organisation(), Scope.DELIVERIES_READ)
    wrong = [SecretCredentials(credentials.client_id, "another"), SecretCredentials("nobody", credentials.secret)]
    answers = set()
    for each in wrong:
        with pytest.raises(ClientRefused) as caught:
            ask(pipeline, each)
        answers.add(str(caught.value))
    execute(database, "UPDATE client SET active = false")
    with pytest.raises(ClientRefused) as caught:
        ask(pipeline, credentials)
    assert answers == {str(caught.value)}


@pytest.mark.parametrize("scope", [Scope.MAILBOX_READ.value, "everything", "deliveries:read everything"])
def test_a_scope_that_was_not_given_is_refused(pipeline: Pipeline, organisation: Sender, scope: str) -> None:
    credentials = add_client(pipeline, organisation(), Scope.DELIVERIES_READ)
    with pytest.raises(ScopeRefused):
        ask(pipeline, credentials, scope)


def test_a_program_without_scopes_gets_nothing(pipeline: Pipeline, organisation: Sender) -> None:
    with pytest.raises(ScopeRefused):
        ask(pipeline, add_client(pipeline, organisation()))


@pytest.mark.parametrize(("role", "scopes"), [("clerk", access.CLERK_SCOPES), ("operator", access.OPERATOR_SCOPES)])
def test_staff_act_by_their_role_for_their_one_organisation(
    pipeline: Pipeline, organisation: Sender, role: str, scopes: frozenset[Scope]
) -> None:
    sender = organisation()
    add_staff(pipeline, sender, "s", role)
    granted = exchange(pipeline, person())
    assert granted.scopes == scopes
    seen = token(pipeline, granted)
    assert access.organisation_of(seen) == sender
    assert seen.roles == {role}
    for stranger in (person("t"), Person(issuer="https://elsewhere.test", subject="s")):
        with pytest.raises(ScopeRefused):
            exchange(pipeline, stranger)


def test_two_roles_in_one_organisation_add_up_and_one_that_ended_counts_no_more(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    for role in ("clerk", "operator"):
        add_staff(pipeline, sender, "s", role)
    assert exchange(pipeline, person()).scopes == access.CLERK_SCOPES | access.OPERATOR_SCOPES
    execute(database, "UPDATE staff SET active = false WHERE role = 'clerk'")
    assert exchange(pipeline, person()).scopes == access.OPERATOR_SCOPES


def test_who_works_for_two_organisations_acts_for_neither_until_they_say_which(
    pipeline: Pipeline, organisation: Sender
) -> None:
    for _ in range(2):
        add_staff(pipeline, organisation(), "s", "clerk")
    granted = exchange(pipeline, person(national_number="85073003328"))
    assert granted.scopes == access.READER_SCOPES
    seen = token(pipeline, granted)
    assert (seen.organisation, seen.roles) == (None, frozenset())
    with pytest.raises(Forbidden) as caught:
        access.organisation_of(seen)
    assert caught.value.code == "no_organisation"


def test_a_person_reads_their_own_mailbox_and_the_token_holds_no_number(
    pipeline: Pipeline,
) -> None:
    granted = exchange(pipeline, person(national_number="85.07.30-033.28", assurance_level="substantial"))
    seen = token(pipeline, granted)
    assert access.reader_of(seen).hashes == reader(pipeline).hashes
    assert granted.scopes == access.READER_SCOPES
    assert "85073003328" not in repr(seen) + granted.token.token


@pytest.mark.parametrize(
    ("numbers", "acts_for"),
    [({"national_number": "85073003328"}, False), ({"enterprise_number": "0403019261"}, True)],
)
def test_how_a_person_logged_in_is_the_same_by_token_and_by_session(
    pipeline: Pipeline, numbers: dict[str, str], *, acts_for: bool
) -> None:
    at = pipeline.now.replace(microsecond=0)
    who = Person(issuer=ISSUER, subject="f3a9", auth_time=at, assurance_level="substantial", **numbers)  # type: ignore[arg-type]
    by_session = access.profile(pipeline.context, who).reader
    by_token = access.reader_of(token(pipeline, exchange(pipeline, who)))
    assert by_session == by_token
    acted_for = ActedFor(ActingBasis.LOG_IN, "f3a9") if acts_for else None
    assert by_token.identification == Identification(ISSUER, AssuranceLevel.SUBSTANTIAL, at, acted_for)


def test_a_clerk_is_identified_and_a_program_is_not(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    add_staff(pipeline, sender, "s", "clerk")
    at = pipeline.now.replace(microsecond=0)
    seen = token(pipeline, exchange(pipeline, Person(issuer=ISSUER, subject="s", auth_time=at, assurance_level="high")))
    acted_for = ActedFor(ActingBasis.LOG_IN, "s")
    assert access.identification_of(seen) == Identification(ISSUER, AssuranceLevel.HIGH, at, acted_for)
    program = ask(pipeline, add_client(pipeline, sender, Scope.DELIVERIES_WRITE))
    assert access.identification_of(token(pipeline, program)) is None


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ({"enterprise_number": "0403.019.261"}, RecipientKind.ENTERPRISE),
        ({"administration_code": "OVO001234"}, RecipientKind.ADMINISTRATION),
        ({"national_number": "nonsense", "enterprise_number": "0403019261"}, RecipientKind.ENTERPRISE),
        ({"national_number": "12345678901"}, None),
        ({}, None),
    ],
)
def test_a_number_that_can_not_be_opens_no_mailbox(
    pipeline: Pipeline, numbers: dict[str, str], kind: RecipientKind | None
) -> None:
    profile = access.profile(pipeline.context, person(**numbers))
    assert (None if profile.reader is None else profile.reader.kind) is kind
    assert profile.staff == ()


def test_a_program_with_its_own_key_is_believed_once_per_statement_and_only_while_it_is_active(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    client = add_client(pipeline, sender, Scope.DELIVERIES_READ).client_id
    key, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    tokens = pipeline.application.tokens

    def statement(jti: str, by: ECKey = key) -> AssertionCredentials:
        end = int(pipeline.now.timestamp()) + 60
        said = {"iss": client, "sub": client, "aud": f"{tokens.issuer}/oauth/token", "exp": end, "jti": jti}
        form = {"client_assertion_type": JWT_BEARER, "client_assertion": jwt.encode({"alg": "ES256"}, said, by)}
        return read_assertion(form)

    def granted(credentials: AssertionCredentials) -> frozenset[Scope]:
        return access.client_token(pipeline.context, tokens, credentials, ClientCredentialsRequest(None)).scopes

    with pytest.raises(ClientRefused):
        granted(statement("a"))
    with pipeline.context.database.transaction() as session:
        keys = json.dumps({"keys": [key.as_dict(private=False)]}).encode()
        organisations.set_keys(session, client, checked_jwks(keys))
        with pytest.raises(NotFound):
            organisations.set_keys(session, "nobody", None)
    assert granted(statement("a")) == {Scope.DELIVERIES_READ}
    with pytest.raises(ClientRefused):
        granted(statement("a"))
    with pytest.raises(ClientRefused):
        granted(statement("b", other))
    assert granted(statement("b")) == {Scope.DELIVERIES_READ}
    # Of many who show the same statement at once, one is believed.
    shown = statement("c")

    def show(_: int) -> bool:
        try:
            return bool(granted(shown))
        except ClientRefused:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(show, range(8))) == [False] * 7 + [True]
    with pipeline.context.database.transaction() as session:
        assert access.forget_statements(session, now=pipeline.now) == 0
        assert access.forget_statements(session, now=pipeline.now + timedelta(minutes=2)) == 3
    execute(database, "UPDATE client SET active = false")
    with pytest.raises(ClientRefused):
        granted(statement("d"))
