"""The clerk's pages about letters that were sent: where they are, what happened, and the proof of it."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from service.usecases.bundle import Bundle
from service.usecases.deliveries import Standing
from service.usecases.views import DeliveryPage, EventView, EvidenceEntry, File, ProblemView
from tests.api_support import DELIVERY_ID
from tests.portal_support import CLERK, NOW, TAX, Browser, House, delivery, field, house, texts


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def clerk(started: House, monkeypatch: pytest.MonkeyPatch) -> Browser:
    made = started.browser(monkeypatch, CLERK)
    made.client.cookies.set("zending_language", "en")
    return made


@pytest.fixture
def letter(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The use cases behind one letter's page, as a dict to be changed."""
    state: dict[str, Any] = {
        "view": delivery(),
        "timeline": [EventView("handed_in", NOW, "received", None, "sender", None)],
        "proofs": [EvidenceEntry("evd_1", "SubmissionAcceptance", NOW, published=True)],
        "standing": Standing(withdrawable=False, answer_until=None),
        "papers": [],
    }
    base = "service.usecases.deliveries."
    monkeypatch.setattr(f"{base}get", lambda *_: state["view"])
    monkeypatch.setattr(f"{base}standing", lambda *_: state["standing"])
    monkeypatch.setattr("service.usecases.paper.of", lambda *_: state["papers"])
    monkeypatch.setattr(f"{base}timeline", lambda *_: state["timeline"])
    monkeypatch.setattr(f"{base}evidence_list", lambda *_: state["proofs"])
    monkeypatch.setattr(f"{base}evidence_one", lambda *_: {"record": {"b": 1}})
    monkeypatch.setattr(f"{base}document", lambda *_: File('brié"f.pdf', b"%PDF"))
    return state


def test_a_letters_page_tells_where_it_is_what_happened_and_how_to_prove_it(
    clerk: Browser, letter: dict[str, Any]
) -> None:
    letter["timeline"].append(EventView("returned", NOW, "returned", "paper", "post", "M04"))
    letter["view"] = delivery(
        status="returned", channel="paper", registered=True, effective_at=NOW + timedelta(days=1),
        problems=[ProblemView("no_text", "x", 3), ProblemView("brand_new", "A sentence.")],
    )  # fmt: skip
    page = clerk.get(f"/letters/{DELIVERY_ID}").text
    assert {"Returned", "The letter came back.", "The recipient has moved.", "(page 3)", "A sentence."} <= set(
        texts(page)
    )
    assert "23 November 2026, 13:30" in page
    assert "Your &lt;b&gt;letter&lt;/b&gt;" in page
    assert f'href="/letters/{DELIVERY_ID}/documents/0"' in page
    assert f'href="/letters/{DELIVERY_ID}/evidence/evd_1"' in page
    assert "hx-get" not in page
    assert "/cancel" not in page


def test_a_letter_on_its_way_looks_again_and_says_what_changed(clerk: Browser, letter: dict[str, Any]) -> None:
    page = clerk.get(f"/letters/{DELIVERY_ID}").text
    assert 'hx-trigger="every 3s"' in page
    assert f"/letters/{DELIVERY_ID}/cancel" in page
    seen = field(page, "seen")
    path = f"/letters/{DELIVERY_ID}/progress?seen="
    assert clerk.get(path + seen).status_code == 204
    letter["view"] = delivery(status="available", channel="digital")
    changed = clerk.get(path + seen)
    assert changed.status_code == 200
    assert 'id="announcement" hx-swap-oob="innerHTML"' in changed.text
    assert 'hx-trigger="every 20s"' in clerk.get(f"/letters/{DELIVERY_ID}").text
    letter["view"] = delivery(status="opened", channel="digital")
    assert clerk.get(path + "x").status_code == 286


def test_a_proof_that_is_not_published_yet_is_waited_for(clerk: Browser, letter: dict[str, Any]) -> None:
    letter["view"] = delivery(status="opened", channel="digital")
    letter["proofs"] = [msgspec.structs.replace(letter["proofs"][0], published=False)]
    page = clerk.get(f"/letters/{DELIVERY_ID}").text
    assert "Being recorded…" in page
    assert 'hx-trigger="every 3s"' in page


def test_nothing_can_be_downloaded_before_the_seal(clerk: Browser, letter: dict[str, Any]) -> None:
    letter["view"], letter["proofs"] = delivery(status="received"), []
    page = clerk.get(f"/letters/{DELIVERY_ID}").text
    assert "Not sealed yet" in page
    assert "/documents/0" not in page


def test_a_state_this_release_does_not_know_still_has_a_page(clerk: Browser, letter: dict[str, Any]) -> None:
    letter["view"] = delivery(status="brand_new")
    assert "brand_new" in clerk.get(f"/letters/{DELIVERY_ID}").text


def test_files_are_kept_under_their_own_name(clerk: Browser, letter: dict[str, Any]) -> None:
    document = clerk.get(f"/letters/{DELIVERY_ID}/documents/0")
    assert document.headers["content-disposition"] == "attachment; filename*=UTF-8''bri%C3%A9%22f.pdf"
    assert document.headers["content-type"] == "application/pdf"
    proof = clerk.get(f"/letters/{DELIVERY_ID}/evidence/evd_1")
    assert proof.headers["content-disposition"] == 'attachment; filename="evd_1.json"'
    assert proof.json() == {"record": {"b": 1}}


def test_everything_can_be_kept_in_one_file_once_there_is_proof(
    clerk: Browser, letter: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/letters/{DELIVERY_ID}/bundle"
    assert f'href="{address}"' in clerk.get(f"/letters/{DELIVERY_ID}").text
    whole = Bundle(f"{DELIVERY_ID}.zip", [("README.txt", b"how")])
    monkeypatch.setattr("service.usecases.deliveries.bundle", lambda *_: whole)
    kept = clerk.get(address)
    assert kept.headers["content-type"] == "application/zip"
    assert kept.headers["content-disposition"] == f'attachment; filename="{DELIVERY_ID}.zip"'
    assert kept.headers["cache-control"] == "no-store"
    assert kept.content == b"".join(whole.stream())
    letter["view"], letter["proofs"] = delivery(status="received"), []
    assert address not in clerk.get(f"/letters/{DELIVERY_ID}").text


def test_a_letter_is_cancelled_only_after_a_question(
    clerk: Browser, letter: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []
    monkeypatch.setattr(
        "service.usecases.deliveries.cancel", lambda _context, _organisation, each: cancelled.append(each)
    )
    assert "Yes, cancel it" in clerk.get(f"/letters/{DELIVERY_ID}/cancel").text
    assert cancelled == []
    assert clerk.post(f"/letters/{DELIVERY_ID}/cancel").headers["location"] == f"/letters/{DELIVERY_ID}"
    assert cancelled == [DELIVERY_ID]
    letter["view"] = delivery(status="opened")
    assert clerk.get(f"/letters/{DELIVERY_ID}/cancel").status_code == 303


def test_what_nobody_opened_is_withdrawn_with_a_reason_and_by_somebody(
    clerk: Browser, letter: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    withdrawn: list[Any] = []
    monkeypatch.setattr(
        "service.usecases.deliveries.withdraw",
        lambda _context, _organisation, each, reason, *, by: withdrawn.append((each, reason, by)),
    )
    letter["view"] = delivery(status="offered", channel="digital", registered=True)
    assert "/withdraw" not in clerk.get(f"/letters/{DELIVERY_ID}").text
    assert clerk.get(f"/letters/{DELIVERY_ID}/withdraw").status_code == 303
    letter["standing"] = Standing(withdrawable=True, answer_until=date(2026, 12, 9))
    page = clerk.get(f"/letters/{DELIVERY_ID}").text
    assert f"/letters/{DELIVERY_ID}/withdraw" in page
    assert "9 December 2026" in page
    assert "It was sent twice." in clerk.get(f"/letters/{DELIVERY_ID}/withdraw").text
    refused = clerk.post(f"/letters/{DELIVERY_ID}/withdraw", {"reason": "malware"})
    assert (refused.status_code, withdrawn) == (200, [])
    assert "Choose a reason." in refused.text
    assert clerk.post(f"/letters/{DELIVERY_ID}/withdraw", {"reason": "sent_twice"}).status_code == 303
    ((each, reason, by),) = withdrawn
    assert (each, reason, by.acted_for.basis.value) == (DELIVERY_ID, "sent_twice", "log_in")


@pytest.mark.parametrize(
    ("changes", "said"), [({"registered": True}, "registered mail"), ({}, "Otherwise it is printed")]
)
def test_the_confirmation_says_what_will_happen(
    clerk: Browser, letter: dict[str, Any], changes: dict[str, bool], said: str
) -> None:
    letter["view"] = delivery(**changes)
    assert said in clerk.get(f"/letters/{DELIVERY_ID}/sent").text


def test_the_list_is_searched_by_reference_and_state(clerk: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def page(_context: Any, organisation: Any, filters: Any, *, cursor: str | None, limit: int) -> DeliveryPage:
        asked.append((organisation, filters.status, filters.reference, cursor, limit))
        return DeliveryPage([delivery()] if not filters.reference else [], "dlv_next" if cursor is None else None)

    monkeypatch.setattr("service.usecases.deliveries.list_page", page)
    first = clerk.get("/letters").text
    assert "Your &lt;b&gt;letter&lt;/b&gt;" in first
    assert "after=dlv_next" in first
    none = clerk.get("/letters?status=opened&reference=+A%26B+&after=dlv_x").text
    assert "No letter fits this search." in none
    assert "reference=A%26B" in none
    assert 'value="A&amp;B"' in none
    clerk.get("/letters?status=nonsense")
    organisation = TAX.organisation_id
    assert asked == [
        (organisation, None, None, None, 20),
        (organisation, "opened", "A&B", "dlv_x", 20),
        (organisation, None, None, None, 20),
    ]


def test_a_new_organisation_is_invited_to_send(clerk: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.usecases.deliveries.list_page", lambda *_, **__: DeliveryPage([], None))
    assert "Send the first one" in clerk.get("/letters").text
