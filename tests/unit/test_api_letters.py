"""Letters checked before they are sent: by themselves, and with the preview of a hand-in."""

import base64
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from printing.profiles import load
from service.api.examples import HAND_IN
from service.app import make_litestar
from service.bootstrap import Application
from service.identity.scopes import Scope
from service.usecases import policies
from service.usecases.policies import Policies
from tests.api_support import application, bearer, door
from tests.printing_support import form

DOCUMENTS = Path(__file__).parents[1] / "documents"
TYPES = {"offered": {"registered": "example-consent"}}
BAR = (DOCUMENTS / "notice-nl-ghostscript.pdf").read_bytes()
GOOD = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("letters")) as found:
        yield found


@pytest.fixture(scope="module")
def client(wired: Application) -> Iterator[TestClient[Any]]:
    with door(wired, make_litestar(wired)) as found:
        yield found


@pytest.fixture
def auth(wired: Application, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    def of_sender(context: Any, _: Any) -> Policies:
        return Policies(context.register, date(2026, 11, 24), TYPES)

    monkeypatch.setattr(policies, "of_sender", of_sender)
    return bearer(wired, Scope.DELIVERIES_WRITE)


def check(client: TestClient[Any], auth: dict[str, str], pdf: bytes = BAR, **asked: str) -> Any:
    headers = auth | {"Content-Type": "application/pdf"}
    return client.post("/v1/letters/check", headers=headers, params=asked, content=pdf)


def test_what_keeps_a_document_from_being_printed_is_said_with_page_and_place(
    client: TestClient[Any], auth: dict[str, str]
) -> None:
    shown = check(client, auth, pages="1,9", profile="uk-notify").json()
    assert not shown["printable"]
    assert [(each["code"], each["page"]) for each in shown["problems"]] == [("INK_OUTSIDE", 1)]
    ((left, top, right, bottom),) = shown["problems"][0]["boxes"]
    assert (left, top, right) == (0, 0, 210)
    assert 17 < bottom < 20
    assert (shown["profile"], shown["mode"], shown["sheets"], shown["grams"]) == ("uk-notify", "page", 2, 15)
    assert shown["postage_cents"] == load("uk-notify").postage("letter", 15)
    # Of a page that is not there is no picture.
    ((page, png),) = [(each["page"], base64.b64decode(each["png"])) for each in shown["pictures"]]
    assert page == 1
    assert png.startswith(b"\x89PNG")


def test_a_good_letter_is_printable_and_one_side_takes_as_many_sheets_as_pages(
    client: TestClient[Any], auth: dict[str, str]
) -> None:
    shown = check(client, auth, GOOD, duplex="false").json()
    assert (shown["printable"], shown["problems"], shown["sheets"]) == (True, [], 2)
    assert shown["pictures"] == []


def test_an_address_in_the_window_is_read(client: TestClient[Any], auth: dict[str, str]) -> None:
    shown = check(client, auth, GOOD, mode="adopt").json()
    assert shown["window"] == ["De heer Wannes Verzonnen-Peeters", "Molenweg 8 bus 12", "9999 VOORBEELDEGEM"]
    assert {each["code"] for each in shown["problems"]} == {"WINDOW_INK", "WINDOW_TEXT"}


def test_a_document_that_cannot_be_read_is_an_answer_too(client: TestClient[Any], auth: dict[str, str]) -> None:
    answer = check(client, auth, b"%PDF-1.7 and nothing")
    assert answer.status_code == 200
    assert [(each["code"], each["page"], "boxes" in each) for each in answer.json()["problems"]] == [
        ("PDF_UNREADABLE", None, False)
    ]


def test_a_form_is_judged_as_it_is_printed_once_sealed(client: TestClient[Any], auth: dict[str, str]) -> None:
    shown = check(client, auth, form("ingevuld", appearance="", anew=True)).json()
    assert shown["printable"]
    assert [(each["code"], each["page"]) for each in shown["warnings"]] == [("FIELD_HIDDEN", 1)]


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"profile": "no-such"}, 422, "profile_unknown"),
        ({"profile": "../be-right"}, 422, "profile_unknown"),
        ({"pages": "1,,2"}, 422, "pages_malformed"),
        ({"pages": "0"}, 422, "pages_malformed"),
        ({"pages": "1,2,3,4,5,6,7,8,9,10,11"}, 422, "too_many_pages"),
    ],
)
def test_what_is_asked_wrongly_is_refused(
    client: TestClient[Any], auth: dict[str, str], asked: dict[str, str], status: int, code: str
) -> None:
    answer = check(client, auth, **asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_only_a_pdf_of_a_sender_is_looked_at(client: TestClient[Any], wired: Application, auth: dict[str, str]) -> None:
    assert client.post("/v1/letters/check", headers=auth, json={}).status_code == 415
    assert check(client, bearer(wired, Scope.DELIVERIES_READ)).status_code == 403
    assert check(client, {}).status_code == 401


def preview(client: TestClient[Any], auth: dict[str, str], *files: bytes, **changes: Any) -> Any:
    parts = [("delivery", (None, json.dumps(HAND_IN | changes).encode(), "application/json"))]
    roles = ["document", *["attachment"] * (len(files) - 1)]
    parts += [
        (role, (f"{n}.pdf", file, "application/pdf")) for n, (role, file) in enumerate(zip(roles, files, strict=True))
    ]
    return client.post("/v1/deliveries/preview", headers=auth, files=parts)


def test_a_preview_with_files_says_what_of_them_can_be_printed(client: TestClient[Any], auth: dict[str, str]) -> None:
    shown = preview(client, auth, GOOD, BAR).json()
    assert any(each["step"] == "letter" for each in shown["steps"])
    found = [[each["code"] for each in letter["problems"]] for letter in shown["letters"]]
    told = [[each["code"] for each in letter["warnings"]] for letter in shown["letters"]]
    assert (found, told) == ([[], []], [[], ["PAGE_REDUCED"]])
    behind = preview(client, auth, BAR, print={"address": "stamp"}).json()
    assert {each["code"] for each in behind["letters"][0]["problems"]} >= {"INK_OUTSIDE"}


def test_a_preview_says_nothing_of_letters_where_there_are_no_files(
    client: TestClient[Any], auth: dict[str, str]
) -> None:
    assert client.post("/v1/deliveries/preview", headers=auth, json=HAND_IN).json()["letters"] == []
    long = client.post("/v1/deliveries/preview", headers=auth, json=HAND_IN | {"subject": "x" * 70_000})
    assert long.status_code == 413
