"""Pages about mandates: a code that is shown once, whose mailbox a page is about, what is wrong told at its field."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from service.db.ids import MANDATE, ORGANISATION, parse_id
from service.domain.errors import Conflict, FieldError, Forbidden, Invalid
from service.domain.identifiers import RecipientId, RecipientKind
from service.domain.mandates import Terms
from service.usecases.access import Profile
from service.usecases.mandates import CodeWrong, Given, MandateActView, MandateView, SenderView
from service.usecases.views import ActivationView, MessagePage
from tests.api_support import DELIVERY_ID
from tests.portal_support import CITIZEN, NOW, READER, Browser, House, house, message, texts

AN = RecipientId(RecipientKind.CITIZEN, "85073003328")
ID = "mdt_" + "0" * 31 + "1"
TAX = SenderView("org_" + "0" * 31 + "1", "Tax & Customs")
FORM = {"kind": "citizen", "number": "94022722580", "name": "Cem Aydin", "which": "all", "effect": "no"}


def mandate(**changes: Any) -> MandateView:
    usual = MandateView(
        id=ID, side="mandatary", state="accepted", other="An <Peeters>", senders=None, registered=False,
        legal_effect=True, last_day=None, given_at=NOW, accept_before=NOW + timedelta(days=14), accepted_at=NOW,
        revoked_at=None, revoked_by=None,
    )  # fmt: skip
    return MandateView(**({name: getattr(usual, name) for name in usual.__struct_fields__} | changes))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def citizen(started: House, monkeypatch: pytest.MonkeyPatch) -> Browser:
    made = started.browser(monkeypatch, CITIZEN)
    made.client.cookies.set("zending_language", "en")
    return made


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The use cases behind the pages, as a dict to be changed."""
    state: dict[str, Any] = {"mandate": mandate(), "readers": [], "given": None, "error": None, "acts": []}
    state["reader"] = READER

    def seen(result: Any) -> Any:
        def call(_context: Any, reader: Any, *_: Any, **__: Any) -> Any:
            state["readers"].append(reader)
            if state["error"] is not None:
                raise state["error"]
            return result

        return call

    def give(_context: Any, reader: Any, sides: Any, terms: Any) -> Given:
        assert reader == state["reader"]
        state["given"] = (sides, terms)
        if state["error"] is not None:
            raise state["error"]
        return Given(mandate(side="mandator", state="given", other="Cem Aydin"), "ABCDE-23456")

    mailbox, mandates = "service.usecases.mailbox.", "service.usecases.mandates."
    monkeypatch.setattr(f"{mailbox}messages", seen(MessagePage([message()], None)))
    monkeypatch.setattr(f"{mailbox}message", seen(message()))
    monkeypatch.setattr(f"{mailbox}open_message", seen(None))
    off = ActivationView(active=False, email=None, language=None, since=None)
    monkeypatch.setattr("service.usecases.activation.state", lambda *_: off)
    monkeypatch.setattr(f"{mandates}get", lambda *_: state["mandate"])
    monkeypatch.setattr(f"{mandates}given", lambda *_: [])
    monkeypatch.setattr(f"{mandates}held", lambda *_: [state["mandate"]])
    monkeypatch.setattr(f"{mandates}acts", lambda *_: state["acts"])
    monkeypatch.setattr(f"{mandates}senders", lambda *_: [TAX])
    monkeypatch.setattr(f"{mandates}accept", seen(mandate()))
    monkeypatch.setattr(f"{mandates}revoke", seen(mandate(state="revoked")))
    monkeypatch.setattr(f"{mandates}give", give)
    monkeypatch.setattr("service.usecases.access.recipient_of", lambda _: AN)
    return state


def test_each_page_of_another_ones_mailbox_says_whose_it_is_and_leads_within_it(
    citizen: Browser, world: dict[str, Any]
) -> None:
    for path in ("", f"/messages/{DELIVERY_ID}"):
        page = citizen.get(f"/mailbox/for/{ID}{path}")
        assert page.status_code == 200
        assert "An <Peeters>" in texts(page.text)
        assert "You act for" in " ".join(texts(page.text))
        assert f"/mailbox/for/{ID}/messages/{DELIVERY_ID}" in page.text
        assert '"/mailbox/messages/' not in page.text
    opened = citizen.post(f"/mailbox/for/{ID}/messages/{DELIVERY_ID}/open")
    assert opened.headers["location"] == f"/mailbox/for/{ID}/messages/{DELIVERY_ID}"
    assert {each.acting_for for each in world["readers"]} == {parse_id(MANDATE, ID)}


def test_ones_own_pages_have_no_banner(
    citizen: Browser, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    off = ActivationView(active=False, email=None, language=None, since=None)
    monkeypatch.setattr("service.usecases.activation.state", lambda *_: off)
    page = citizen.get("/mailbox")
    assert "You act for" not in page.text
    assert {each.acting_for for each in world["readers"]} == {None}


def test_a_mandate_that_is_over_is_told_as_such(citizen: Browser, world: dict[str, Any]) -> None:
    world["error"] = Forbidden("x", code="mandate_over")
    page = citizen.get(f"/mailbox/for/{ID}")
    assert page.status_code == 403
    assert "This mandate is over. You can't act for this person or firm any more." in texts(page.text)
    assert citizen.get("/mailbox/for/mdt_x").status_code == 404


def test_the_code_is_in_one_answer_and_in_no_address(citizen: Browser, world: dict[str, Any]) -> None:
    answer = citizen.post("/mailbox/mandates", {**FORM, "last_day": "2027-12-31", "registered": "yes"})
    assert answer.status_code == 200
    assert "ABCDE-23456" in texts(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    sides, terms = world["given"]
    assert (sides.mandator.number, sides.mandator.name) == ("85073003328", "An <Peeters>")
    assert (sides.mandatary.number, sides.mandatary.name) == ("94022722580", "Cem Aydin")
    assert terms == Terms(registered=True, last_day=date(2027, 12, 31))
    assert "ABCDE-23456" not in citizen.get("/mailbox/mandates").text


def test_whoever_logged_in_for_a_firm_says_its_name(
    started: House, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk = started.browser(monkeypatch, Profile(replace(READER, kind=RecipientKind.ENTERPRISE), ()))
    clerk.client.cookies.set("zending_language", "en")
    assert 'name="own_name"' in clerk.get("/mailbox/mandates/new").text
    assert 'href="#own_name"' in clerk.post("/mailbox/mandates", FORM).text
    world["reader"] = replace(READER, kind=RecipientKind.ENTERPRISE)
    clerk.post("/mailbox/mandates", {**FORM, "own_name": "Bakkerij bv"})
    assert world["given"][0].mandator.name == "Bakkerij bv"


def test_what_may_be_done_is_what_was_chosen(citizen: Browser, world: dict[str, Any]) -> None:
    citizen.post("/mailbox/mandates", {**FORM, "which": "some", "sender": TAX.id, "effect": "yes"})
    assert world["given"][1] == Terms(senders=frozenset({parse_id(ORGANISATION, TAX.id)}), legal_effect=True)


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"number": "1"}, "number", "This is not a national register number. Check the 11 digits."),
        ({"name": " "}, "name", "Fill this in."),
        ({"name": "x" * 101}, "name", "This text is too long."),
        ({"last_day": "31/12/2027"}, "last_day", "This is not one of the possible values."),
        ({"which": "some"}, "which-some", "Choose at least one sender, and not more than 50."),
        ({"which": "some", "sender": "org_x"}, "which-some", "Choose senders from the list."),
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_the_rest_stays_filled_in(
    citizen: Browser, world: dict[str, Any], changes: dict[str, str], field: str, said: str
) -> None:
    answer = citizen.post("/mailbox/mandates", {**FORM, **changes})
    assert answer.status_code == 422
    assert world["given"] is None
    assert f'href="#{field}"' in answer.text
    assert said in texts(answer.text)
    for name, value in (("number", FORM["number"]), ("name", FORM["name"])):
        assert name in changes or f'value="{value}"' in answer.text


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (Conflict("x", code="mandates_too_many"), 409, "You gave as many mandates as there can be. Revoke one first."),
        (
            Invalid("x", errors=[FieldError("/mandatary/id", "mandate_to_oneself", "x")]),
            422,
            "This is your own number. Nobody needs a mandate from themselves.",
        ),
        (
            Invalid("x", errors=[FieldError("/last_day", "last_day_over", "x")]),
            422,
            "This day is over. Choose today or a later day.",
        ),
    ],
)
def test_what_the_rules_refuse_is_told_in_the_readers_words(
    citizen: Browser, world: dict[str, Any], error: Exception, status: int, said: str
) -> None:
    world["error"] = error
    answer = citizen.post("/mailbox/mandates", FORM)
    assert (answer.status_code, said in texts(answer.text)) == (status, True)


def test_a_code_leads_to_the_mailbox_and_a_wrong_one_says_so(citizen: Browser, world: dict[str, Any]) -> None:
    assert citizen.post("/mailbox/mandates/accept", {"code": "x"}).headers["location"] == f"/mailbox/for/{ID}"
    world["error"] = CodeWrong("x")
    answer = citizen.post("/mailbox/mandates/accept", {"code": "x"})
    assert answer.status_code == 422
    assert "This code is not right, or its time is over. Ask for a new one if it keeps failing." in texts(answer.text)


def test_a_mandate_shows_what_was_done_to_whoever_gave_it_and_ends_after_a_question(
    citizen: Browser, world: dict[str, Any]
) -> None:
    world["mandate"] = mandate(side="mandator", other="Cem Aydin")
    world["acts"] = [
        MandateActView("opened", "mandatary", NOW, DELIVERY_ID, "Your <b>letter</b>"),
        MandateActView("given", "mandator", NOW, None, None),
    ]
    page = citizen.get(f"/mailbox/mandates/{ID}").text
    assert {"Letter opened", "Your <b>letter</b>", "Mandate given", "In force"} <= set(texts(page))
    assert citizen.get(f"/mailbox/mandates/{ID}/revoke").status_code == 200
    assert world["readers"] == []
    assert citizen.post(f"/mailbox/mandates/{ID}/revoke").headers["location"] == f"/mailbox/mandates/{ID}"
    assert world["readers"] == [READER]
    world["mandate"] = mandate(state="revoked", revoked_at=NOW, revoked_by="mandator")
    assert citizen.get(f"/mailbox/mandates/{ID}/revoke").status_code == 303
    assert "What was done" not in texts(citizen.get(f"/mailbox/mandates/{ID}").text)
