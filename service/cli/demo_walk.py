"""The walk from a token to verified evidence, as shell lines to paste: curl, grep and sed are all they need."""

import json
import shlex
import sys
from pathlib import Path
from string import Template
from typing import Final

from service.cli.demo_house import House
from service.embedded.fictional import RECIPIENTS, request
from service.embedded.stack import CHECKOUT

DOCUMENT: Final = "notice-nl-ghostscript.pdf"

_WALK: Final = Template("""\
URL=$url
TOKEN=$$(curl -s -u $client -d grant_type=client_credentials $$URL/oauth/token |
  sed -E 's/.*"access_token":"([^"]+)".*/\\1/')
AUTH="Authorization: Bearer $$TOKEN"
ID=$$(curl -s -H "$$AUTH" -H "Idempotency-Key: try-$$(date +%s)" \\
  -F 'delivery=$delivery;type=application/json' \\
  -F document=@$document $$URL/v1/deliveries |
  sed -E 's/.*"id":"(dlv_[0-9a-f]+)".*/\\1/')
until curl -s -H "$$AUTH" $$URL/v1/deliveries/$$ID | grep '"status":"available"'; do sleep 1; done
curl -s -H "$$AUTH" $$URL/v1/deliveries/$$ID/document -o sealed.pdf && ls -l sealed.pdf
EVIDENCE=$$(curl -s -H "$$AUTH" $$URL/v1/deliveries/$$ID/evidence |
  sed -E 's/.*"id":"(evd_[0-9a-f]+)".*/\\1/')
until curl -s -H "$$AUTH" $$URL/v1/deliveries/$$ID/evidence/$$EVIDENCE -o evidence.json &&
  grep -q '"timestamp_token": *"' evidence.json; do sleep 1; done
$verify evidence.json \\
  $keys
""")


def walk(house: House) -> str:
    """The lines for this house, with the tax agency's credentials."""
    client = house.clients["tax"]
    delivery = request(
        RECIPIENTS["an"],
        reference="try-1",
        subject="Een eerste brief",
        document_type="letter",
        language="nl",
    )
    document = CHECKOUT / "tests" / "documents" / DOCUMENT
    if not document.exists():
        document = house.home / "documents" / DOCUMENT
    # The shorter one of the two keys; its signature must hold like the other's.
    given = [f"--key {shlex.quote(house.ledger_keys[0])}"]
    if house.time_stamp_issuer:
        given.append(f"--tsa-ca {shlex.quote(str(house.time_stamp_issuer))}")
    return _WALK.substitute(
        url=house.base_url,
        client=shlex.quote(f"{client.client_id}:{client.secret}"),
        delivery=json.dumps(delivery).replace("'", "\\u0027"),
        document=shlex.quote(str(document)),
        # Whole paths: it is pasted into another terminal, which may be anywhere.
        verify=shlex.join([sys.executable, str(CHECKOUT / "service" / "ledger" / "verify.py")]),
        keys=" \\\n  ".join(given),
    )


def nearby(file: Path) -> Path:
    """A path as short as it can be from where we are."""
    try:
        return file.relative_to(Path.cwd())
    except ValueError:
        return file
