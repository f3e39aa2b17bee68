"""A browser with the extension of Web eID in it, and a software card in its reader."""

import json
from pathlib import Path
from typing import Any

from tests.card_support import Card
from tests.portal_walk_support import Walker
from tests.service_support import RunningService

EXTENSION = """
(() => {
  window.webEidHeard = [];
  window.addEventListener("message", async (event) => {
    const { action, ...values } = event.data ?? {};
    if (!["web-eid:status", "web-eid:get-signing-certificate", "web-eid:sign"].includes(action)) return;
    window.webEidHeard.push(action);
    window.postMessage({ action: `${action}-ack` }, window.location.origin);
    const answer = JSON.parse(await window.webEidCard(JSON.stringify({ action, ...values })));
    const end = answer.error ? "failure" : "success";
    window.postMessage({ action: `${action}-${end}`, ...answer }, window.location.origin);
  });
})();
"""


class Extension:
    """The browser's extension with a card in its reader; ``refuses`` makes the person stop at the PIN.

    ``refuse_from`` makes them stop at that document.
    """

    def __init__(self, walker: Walker, card: Card) -> None:
        self.card, self.refuses, self.asked = card, False, []  # type: ignore[var-annotated]
        self.refuse_from = self.signed = 0
        walker.page.expose_function("webEidCard", self.answer)
        walker.page.add_init_script(EXTENSION)

    def answer(self, message: str) -> str:
        values: dict[str, Any] = json.loads(message)
        self.asked.append(values)
        if values["action"] == "web-eid:status":
            return json.dumps({"library": "2.0.0", "extension": "2.2.0", "nativeApp": "2.5.0"})
        if values["action"] == "web-eid:get-signing-certificate":
            self.signed = 0
            return json.dumps(self.card.signing_certificate())
        self.signed += 1
        if self.refuses or 0 < self.refuse_from <= self.signed:
            return json.dumps({"error": {"code": "ERR_WEBEID_USER_CANCELLED", "message": "The user stopped."}})
        assert values["certificate"] == self.card.signing_certificate()["certificate"]
        return json.dumps(self.card.sign(values["hash"], values["hashFunction"]))


def pki_of(service: RunningService) -> Path:
    return service.trust_anchor.parent
