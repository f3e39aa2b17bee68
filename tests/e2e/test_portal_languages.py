"""The pages in French and German, whose sentences are longest: they hold to what every page must keep to."""

import pytest

from tests import api_e2e_support as callers
from tests.portal_walk_support import Walk
from tests.service_support import RunningService
from tests.signatures_support import ask_over_http
from tests.webhook_support import subscribe_over_http

pytestmark = pytest.mark.browser

LANGUAGES = ("fr", "de")
HEADINGS = {
    "/verify": {"fr": "Vérifier un document", "de": "Ein Dokument prüfen"},
    "/verify?code=AAAA-AAAA-AAAA": {"fr": "Vérifier un document", "de": "Ein Dokument prüfen"},
    "/there/is/nothing": {"fr": "Nous ne trouvons pas cette page", "de": "Wir finden diese Seite nicht"},
    "/mailbox": {"fr": "Votre boîte aux lettres électronique", "de": "Ihr Postfach"},
    "/mailbox/activation": {"fr": "Numérique ou papier", "de": "Digital oder auf Papier"},
    "/mailbox/activation/stop": {
        "fr": "Désactiver votre boîte aux lettres électronique\N{NARROW NO-BREAK SPACE}?",
        "de": "Ihr Postfach deaktivieren?",
    },
}


def name(path: str, language: str) -> str:
    return f"{path.strip('/').replace('/', '-').partition('?')[0]}-{language}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_citizens_pages(walk: Walk, service: RunningService, language: str) -> None:
    request = ask_over_http(service)
    service.hand_in("an")
    an = walk(language=language)
    an.go("/home", "an")
    for path, headings in HEADINGS.items():
        an.go(path)
        an.sees(headings[language])
        an.look(name(path, language))
    an.go("/mailbox")
    an.page.locator("a.row-title").first.click()
    an.page.locator(".envelope").wait_for()
    an.look(f"message-{language}")
    an.go("/signatures")
    an.look(f"signatures-{language}")
    an.page.locator(f'a[href$="{request}"]').click()
    an.page.locator("#signing").wait_for()
    an.look(f"to-sign-{language}")
    an.page.locator("a.danger-link").click()
    an.sees({"fr": "Vous ne signez pas", "de": "Sie unterschreiben nicht"}[language])
    an.look(f"refuse-{language}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_clerks_pages(walk: Walk, service: RunningService, language: str) -> None:
    service.hand_in("an")
    tine = walk(language=language)
    tine.go("/letters", "tine")
    tine.sees({"fr": "Lettres envoyées par", "de": "Briefe von"}[language])
    tine.look(f"letters-{language}")
    tine.page.locator("a.row-title").first.click()
    tine.page.locator("#progress").wait_for()
    tine.look(f"letter-{language}")
    program = callers.program(service, callers.SENDER)
    hook = f"/v1/webhooks/{subscribe_over_http(program, types=['delivery.returned'])}"
    assert program("POST", f"{hook}/test").status_code == 202
    tine.go("/webhooks")
    tine.page.locator("ul.rows").first.wait_for()
    tine.look(f"webhooks-{language}")
    assert program("DELETE", hook).status_code == 204
    program.close()
    tine.go("/letters/new")
    tine.page.locator("button.send").click()
    tine.page.locator("#summary").wait_for()
    tine.look(f"new-letter-wrong-{language}")
