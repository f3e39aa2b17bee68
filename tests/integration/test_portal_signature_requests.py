"""The clerk's pages of signature requests, on a real database and with signers' cards; only the log-in is played."""

import dataclasses
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from service.app import make_litestar
from service.domain.signing_folder import MOST_SIGNERS
from service.embedded.fictional import RECIPIENTS
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from service.portal.sender import asking
from service.usecases import deliveries
from service.usecases.access import Profile, StaffRole
from service.usecases.signatures import clock, sender, signer
from service.usecases.signatures.views import SignatureRequestView
from service.web import limits
from service.web.limits import Rate
from tests.api_support import BASE_URL, door
from tests.pipeline_support import Pipeline, fresh_database, wired
from tests.portal_support import Browser, Exchangeable, House, field, texts
from tests.service_support import DOCUMENTS
from tests.signatures_support import PDF, SEAL, ask, person, seen, sign, who
from tests.usecase_support import at

HOME = "/signature-requests"
AN = RECIPIENTS["an"]
OTHER = (DOCUMENTS / "attachment-fr.pdf").read_bytes()
FILE = ("agreement.pdf", PDF, "application/pdf")


@pytest.fixture(scope="module")
def shared(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    assert stack.urls is not None
    folder = tmp_path_factory.mktemp("asking")
    with (
        fresh_database(stack.urls, DATABASE) as database,
        wired(stack, database, folder, quiet_hours=False, base_url=BASE_URL) as made,
    ):
        yield Pipeline(made, stack.home / "pki")


@pytest.fixture(scope="module")
def started(shared: Pipeline) -> Iterator[House]:
    known = dataclasses.replace(shared.application, context=shared.context, identity=Exchangeable())  # type: ignore[arg-type]
    app = make_litestar(known)
    with door(known, app) as client:
        yield House(client, app, known)


@pytest.fixture
def pipeline(shared: Pipeline) -> Iterator[Pipeline]:
    yield shared
    shared.skew = timedelta()
    shared.work()


@pytest.fixture
def agency(pipeline: Pipeline) -> uuid.UUID:
    return pipeline.organisation()


@pytest.fixture
def clerk(started: House, agency: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> Browser:
    return clerk_of(started, agency, monkeypatch)


def clerk_of(started: House, organisation: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> Browser:
    made = started.browser(monkeypatch, Profile(None, (StaffRole(organisation, "Town", "clerk"),)))
    made.client.cookies.set("zending_language", "en")
    return made


def filled(pipeline: Pipeline, **changes: str) -> dict[str, str]:
    usual = {
        "subject": "Agreement <b>A</b>", "reference": "2026-OVK-7", "language": "nl", "order": "sequence",
        "last_day": str((pipeline.now + timedelta(days=10)).date()), "reminders": "7",
        "key": f"form-{uuid.uuid4().hex}",
        "signer-1-way": "web-eid", "signer-1-name": AN.name, "signer-1-number": str(AN.number),
        "signer-1-email": "an@given.test", "signer-1-level": "qualified",
        "signer-2-way": "seal", "signer-2-name": "", "signer-2-number": "", "signer-2-email": "",
        "signer-2-level": "qualified",
    }  # fmt: skip
    return usual | changes


def letter_to_an(reference: str) -> dict[str, Any]:
    """What somebody fills in to send the result."""
    return {
        "kind": "citizen", "number": AN.number, "name": AN.name, "street": "Kerkstraat", "house_number": "12",
        "postcode": "9000", "municipality": "Gent", "country": "BE", "subject": "Agreement", "document_type": "letter",
        "language": "nl", "reference": reference,
    }  # fmt: skip


def hidden(html: str) -> dict[str, str]:
    """What the last form of a page sends along."""
    form = html[html.rindex("<form") :]
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))


def listed(pipeline: Pipeline, agency: uuid.UUID) -> list[SignatureRequestView]:
    return sender.list_page(pipeline.context, agency, state=None, cursor=None, limit=50).items


def test_what_was_checked_is_what_is_asked(clerk: Browser, pipeline: Pipeline, agency: uuid.UUID) -> None:
    checked = clerk.post(f"{HOME}/new", filled(pipeline, do="check"))
    assert checked.status_code == 200
    assert "An Peeters is asked first. Each of the others is asked once those before have signed." in checked.text
    assert "Agreement &lt;b&gt;A&lt;/b&gt;" in checked.text
    assert listed(pipeline, agency) == []
    form = {name: value.replace("&lt;", "<").replace("&gt;", ">") for name, value in hidden(checked.text).items()}
    answer = clerk.post(HOME, form, files=[("document", FILE)])
    [made] = listed(pipeline, agency)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HOME}/{made.id}/asked")
    assert (made.subject, made.reference, made.order, made.filename) == (
        "Agreement <b>A</b>", "2026-OVK-7", "sequence", "agreement.pdf",
    )  # fmt: skip
    assert [(each.way, each.level, each.state) for each in made.signers] == [
        ("web-eid", "qualified", "asked"), ("seal", "advanced", "waiting"),
    ]  # fmt: skip
    assert made.expires_at.date() == (made.created_at + timedelta(days=10)).date()
    page = clerk.get(f"{HOME}/{made.id}/asked").text
    assert f"{BASE_URL}/signatures/{made.id}" in page
    # The same form once more, as of a double click, asks nobody again; another with its key is told so.
    assert clerk.post(HOME, form, files=[("document", FILE)]).headers["location"] == answer.headers["location"]
    other = clerk.post(HOME, form | {"subject": "Another"}, files=[("document", FILE)])
    assert other.status_code == 422
    assert "This form was already sent with other content." in other.text
    assert field(other.text, "key") != form["key"]
    assert len(listed(pipeline, agency)) == 1


def test_the_form_keeps_what_was_filled_in_at_every_step(clerk: Browser, pipeline: Pipeline) -> None:
    more = clerk.post(f"{HOME}/new", filled(pipeline, do="add"))
    assert more.status_code == 200
    assert field(more.text, "signer-1-name") == AN.name
    assert field(more.text, "subject") == "Agreement &lt;b&gt;A&lt;/b&gt;"
    assert re.search(r'id="signer-3-way"[^>]* autofocus', more.text)
    less = clerk.post(f"{HOME}/new", filled(pipeline, do="remove-2"))
    assert "signer-2-way" not in less.text
    up = clerk.post(f"{HOME}/new", filled(pipeline, do="up-2"))
    assert field(up.text, "signer-2-name") == AN.name
    back = clerk.post(f"{HOME}/new", filled(pipeline, do="change"))
    assert field(back.text, "signer-1-number") == AN.number
    assert 'value="sequence" checked' in back.text


def test_as_many_signers_as_may_be_asked_fit_into_the_form(clerk: Browser, pipeline: Pipeline) -> None:
    rows = {
        f"signer-{place}-{name}": value
        for place in range(1, MOST_SIGNERS + 1)
        for name, value in asking.new_signer("web-eid").items()
    }
    page = clerk.post(f"{HOME}/new", filled(pipeline) | rows | {"do": "up-20", "signer-20-name": "Last of all"})
    assert page.status_code == 200
    assert field(page.text, "signer-19-name") == "Last of all"
    assert 'value="add"' not in page.text


def test_problems_stand_beside_their_fields_and_nobody_is_asked(
    clerk: Browser, pipeline: Pipeline, agency: uuid.UUID
) -> None:
    wrong = filled(pipeline, subject="", last_day="2020-01-01", **{"signer-1-number": "1", "signer-1-email": "x"})
    for path, files, do in ((f"{HOME}/new", None, "check"), (HOME, [("document", FILE)], "")):
        answer = clerk.post(path, wrong | {"do": do}, files=files)
        assert answer.status_code == 422
        for name in ("subject", "signer-1-number", "signer-1-email", "last_day"):
            assert f'<a href="#{name}">' in answer.text, name
            assert f'id="{name}"' in answer.text, name
        assert field(answer.text, "signer-1-name") == AN.name
    assert listed(pipeline, agency) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Choose the PDF that is to be signed."),
        (b"MZ no pdf", "This file is not a PDF document."),
        (b"%PDF-1.7\n" + b"x" * (31 * 1024 * 1024), None),
    ],
)
def test_a_file_that_can_not_be_taken_is_said_on_the_page_where_it_was_chosen(
    clerk: Browser, pipeline: Pipeline, agency: uuid.UUID, content: bytes, said: str | None
) -> None:
    chosen = [("document", ("x.pdf" if content else "", content, "application/pdf"))]
    answer = clerk.post(HOME, filled(pipeline), files=chosen, HX_Request="true")
    assert answer.status_code == 422
    if said is None:
        assert answer.headers["hx-retarget"] == "#document-problem"
    else:
        assert f'<a href="#document">{said}</a>' in answer.text
        assert "Check and ask" in answer.text
    assert listed(pipeline, agency) == []


def test_the_page_says_who_signed_who_is_next_and_leads_to_all_there_is(
    clerk: Browser, pipeline: Pipeline, agency: uuid.UUID
) -> None:
    request = ask(pipeline, agency, [person("an"), person("jan")], reference="2026-OVK-8")
    page = clerk.get(f"{HOME}/{request}")
    assert {"Waits for signatures", "Now: An Peeters. Then: Jan Claes.", "Remind now"} <= set(texts(page.text))
    assert 'hx-trigger="every' in page.text
    before = field(page.text, "seen")
    assert clerk.get(f"{HOME}/{request}/progress?seen={before}").status_code == 204
    assert "Has not looked at the request yet." in page.text
    signer.get(pipeline.context, who(pipeline), request)
    assert "Looked at the request on:" in clerk.get(f"{HOME}/{request}/progress?seen={before}").text
    sign(pipeline, request)
    page = clerk.get(f"{HOME}/{request}")
    assert "Now: Jan Claes." in texts(page.text)
    assert "Identified by the national register number in the certificate." in page.text
    assert clerk.get(f"{HOME}/{request}/report").status_code == 404
    sign(pipeline, request, "jan")
    pipeline.work()
    pipeline.sequence()
    done = clerk.get(f"{HOME}/{request}/progress?seen={before}")
    assert done.status_code == 286
    assert {"Completed", "Download the signed PDF", "Send the result as a letter"} <= set(texts(done.text))
    assert "Remind now" not in done.text
    assert 'hx-trigger="every' not in clerk.get(f"{HOME}/{request}").text
    result = clerk.get(f"{HOME}/{request}/documents/1")
    assert result.content == sender.document(pipeline.context, agency, request).content
    assert result.headers["content-disposition"].startswith("attachment")
    assert clerk.get(f"{HOME}/{request}/report").content.startswith(b"%PDF")
    proofs = re.findall(rf'href="({HOME}/{request}/evidence/[^"]+)"', done.text)
    assert [clerk.get(each).json()["record"]["event"] for each in proofs] == [
        "SignatureRequested", "Signed", "Signed", "SignatureRequestCompleted",
    ]  # fmt: skip


def test_a_refusal_and_an_end_are_told_with_their_reasons(
    clerk: Browser, pipeline: Pipeline, agency: uuid.UUID
) -> None:
    refused = ask(pipeline, agency, [person("an"), person("jan")])
    signer.refuse(pipeline.context, who(pipeline), refused, "The sum is <wrong>.")
    page = clerk.get(f"{HOME}/{refused}")
    assert "The sum is &lt;wrong&gt;." in page.text
    assert {"An Peeters gave this reason:", "Not needed any more"} <= set(texts(page.text))
    late = ask(pipeline, agency, days=1)
    with at(pipeline, pipeline.now + timedelta(days=2)):
        clock.round_(pipeline.context)
    assert "Not everybody signed in time." in clerk.get(f"{HOME}/{late}").text


def test_a_request_is_taken_back_after_a_question(clerk: Browser, pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency)
    assert "Cancel this request?" in clerk.get(f"{HOME}/{request}/cancel").text
    for _ in range(2):
        answer = clerk.post(f"{HOME}/{request}/cancel")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{HOME}/{request}")
    assert seen(pipeline, agency, request).state == "cancelled"
    assert clerk.get(f"{HOME}/{request}/cancel").headers["location"] == f"{HOME}/{request}"
    refused = clerk.post(f"{HOME}/{request}/remind")
    assert refused.status_code == 409
    assert "This is not possible any more." in refused.text


def test_reminders_by_hand_are_sent_and_end(
    clerk: Browser, pipeline: Pipeline, agency: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REMINDER", Rate(f"reminder-{uuid.uuid4().hex}", 0.001, 1))
    request = ask(pipeline, agency, [person(email="an@given.test")])
    pipeline.work()
    pipeline.woken.clear()
    answer = clerk.post(f"{HOME}/{request}/remind")
    assert answer.headers["location"] == f"{HOME}/{request}?reminded"
    assert [each.value for each in pipeline.woken] == ["ask"]
    assert "gets another e-mail" in clerk.get(answer.headers["location"]).text
    assert clerk.post(f"{HOME}/{request}/remind").status_code == 429


def test_the_result_is_sent_as_any_letter(clerk: Browser, pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency, subject="Agreement", reference="2026-OVK-9")
    assert clerk.get(f"{HOME}/{request}/send").headers["location"] == f"{HOME}/{request}"
    sign(pipeline, request)
    pipeline.work()
    form = clerk.get(f"{HOME}/{request}/send").text
    assert (field(form, "subject"), field(form, "reference")) == ("Agreement", "2026-OVK-9")
    assert 'type="file"' not in form
    letter = letter_to_an("2026-OVK-9") | {"key": field(form, "key")}
    wrong = clerk.post(f"{HOME}/{request}/send", letter | {"postcode": "x"})
    assert wrong.status_code == 422
    assert f'action="{HOME}/{request}/send"' in wrong.text
    answers = [clerk.post(f"{HOME}/{request}/send", letter) for _ in range(2)]
    assert {each.status_code for each in answers} == {303}
    [path] = {each.headers["location"] for each in answers}
    delivery = path.split("/")[2]
    pipeline.work()
    view = deliveries.get(pipeline.context, agency, delivery)
    assert [each.role for each in view.documents] == ["main", "attachment"]
    sealed = deliveries.document(pipeline.context, agency, delivery, 0).content
    assert sealed.startswith(sender.document(pipeline.context, agency, request).content)


def test_several_documents_are_asked_for_kept_and_sent_together(
    clerk: Browser, pipeline: Pipeline, agency: uuid.UUID
) -> None:
    several = [("document", (f"{name}.pdf", pdf, "application/pdf")) for name, pdf in (("a", PDF), ("b", OTHER))]
    bad = [*several, ("document", ("c.pdf", b"MZ no pdf", "application/pdf"))]
    refused = clerk.post(HOME, filled(pipeline), files=bad)
    assert '<a href="#document">c.pdf: This file is not a PDF document.</a>' in refused.text
    twice = clerk.post(HOME, filled(pipeline), files=[several[0], several[0]])
    assert (twice.status_code, "You chose the same document twice." in twice.text) == (422, True)
    answer = clerk.post(HOME, filled(pipeline), files=several)
    request = answer.headers["location"].split("/")[2]
    assert [each.filename for each in seen(pipeline, agency, request).documents] == ["a.pdf", "b.pdf"]
    sign(pipeline, request)
    pipeline.work()
    page = clerk.get(f"{HOME}/{request}").text
    assert re.findall(rf'href="{HOME}/{request}/documents/(\d)"', page) == ["1", "2"]
    for number in (1, 2):
        kept = sender.document(pipeline.context, agency, request, number).content
        assert clerk.get(f"{HOME}/{request}/documents/{number}").content == kept
    assert clerk.get(f"{HOME}/{request}/documents/3").status_code == 404
    form = clerk.get(f"{HOME}/{request}/send").text
    assert {"The signed document", "Signed document, as attachment", "The report, as attachment"} <= set(texts(form))
    letter = letter_to_an("2026-OVK-7") | {"key": field(form, "key")}
    delivery = clerk.post(f"{HOME}/{request}/send", letter).headers["location"].split("/")[2]
    view = deliveries.get(pipeline.context, agency, delivery)
    assert [each.filename for each in view.documents] == ["a.pdf", "b.pdf", f"{request}.pdf"]


def test_the_list_is_searched_and_paged(
    clerk: Browser, pipeline: Pipeline, agency: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "has not asked for any signatures yet" in clerk.get(HOME).text
    made = [ask(pipeline, agency, [SEAL], reference=f"R-{number}", subject=f"S {number}") for number in range(3)]
    pipeline.work()
    made.append(ask(pipeline, agency, reference="R-open", subject="S open"))
    monkeypatch.setattr("service.portal.sender.signature_requests.PER_PAGE", 3)
    first = clerk.get(HOME)
    older = re.search(r'href="([^"]+after=[^"]+)"', first.text)
    assert older is not None
    second = clerk.get(older[1].replace("&amp;", "&"))
    shown = [[each for each in made if f'href="{HOME}/{each}"' in page.text] for page in (first, second)]
    assert [len(each) for each in shown] == [3, 1]
    assert sorted(shown[0] + shown[1]) == sorted(made)
    assert [each for each in made if each in clerk.get(f"{HOME}?state=open").text] == made[3:]
    assert [each for each in made if each in clerk.get(f"{HOME}?reference=R-1&state=nonsense").text] == [made[1]]
    assert "No request fits this search." in clerk.get(f"{HOME}?reference=none").text
    assert clerk.get(f"{HOME}?after=nonsense").status_code == 422


def test_another_organisations_request_is_nowhere(
    started: House, pipeline: Pipeline, agency: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(pipeline, agency)
    stranger = clerk_of(started, pipeline.organisation(), monkeypatch)
    for path in ("", "/asked", "/progress", "/documents/1", "/report", "/cancel", "/send"):
        assert stranger.get(f"{HOME}/{request}{path}").status_code == 404, path
    for path in ("/cancel", "/remind", "/send"):
        assert stranger.post(f"{HOME}/{request}{path}").status_code == 404, path
    assert request not in stranger.get(HOME).text
    assert seen(pipeline, agency, request).state == "open"


def test_only_ways_that_are_set_up_are_offered(
    clerk: Browser, started: House, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = set(re.findall(r'<option value="(web-eid|csc|seal)"', clerk.get(f"{HOME}/new").text))
    assert ways == {"web-eid", "seal"}
    # Whoever asks for another all the same is told beside the signer.
    answer = clerk.post(HOME, filled(pipeline, **{"signer-1-way": "csc"}), files=[("document", FILE)])
    assert answer.status_code == 422
    assert '<a href="#signer-1-way">Signer 1: Signing in this way is not possible here yet.' in answer.text
