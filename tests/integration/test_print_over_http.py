"""The way over HTTP whole: a sealed letter goes to a print house, and what that calls back moves its leg."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyrage import x25519

from printing.simulator import by_letter, http
from printing.simulator.house import Manner, PrintHouse
from service.embedded.stack import Stack
from service.usecases import print_desk
from service.usecases.post_callbacks import HEADER, signature
from tests.api_support import door
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase, wired
from tests.usecase_support import status

ALPHA = """
name = "alpha"
sender = "ZENDING1"
callback_secret_file = "alpha.secret"
[way]
kind = "http"
url = "http://127.0.0.1:{port}"
token_file = "alpha.token"
allow_http = true
[encryption]
recipients = ["{recipient}"]
[[products]]
name = "letter"
cut_offs = ["17:30"]
[[products]]
name = "registered_letter"
cut_offs = ["17:30"]
[[numbers.ranges]]
kind = "gs1"
gtin = "02000000000008"
prefix = "99"
first = 1
last = 9
"""
ADDRESS = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": "9000", "municipality": "Ergens"}
TOKEN, SECRET = "a-token", b"s" * 40


def test_a_sealed_letter_is_posted_and_calls_say_so(stack: Stack, database: TestDatabase, tmp_path: Path) -> None:
    own = x25519.Identity.generate()
    folders = {name: tmp_path / name for name in ("wired", "printers", "out", "told")}
    for folder in folders.values():
        folder.mkdir()
    desk = by_letter.Desk(folders["out"], tmp_path / "desk")
    with http.serving(desk, folders["told"], port=0, token=TOKEN) as port:
        printers = folders["printers"]
        (printers / "alpha.toml").write_text(ALPHA.format(port=port, recipient=own.to_public()))
        (printers / "alpha.token").write_text(TOKEN)
        (printers / "alpha.secret").write_bytes(SECRET)
        with wired(stack, database, folders["wired"], printers=printers) as application, door(application) as api:
            pipeline = Pipeline(application, stack.home / "pki")
            sender = pipeline.organisation()
            delivery = pipeline.hand_in(sender, "jan", postal_address=ADDRESS).delivery_id
            pipeline.work()
            assert pipeline.close_batches() == 1
            pipeline.work()
            assert status(pipeline, sender, delivery) == "handed_over"
            ((name, digest),) = execute(database, "SELECT file_name, encode(sha256, 'hex') FROM print_batch")
            assert name.endswith("_0RQ.ZIP.age")
            assert desk.told(name).body["sha256"] == digest  # type: ignore[index]

            heard: list[int] = []

            def call(body: bytes, secret: bytes = SECRET) -> bool:
                headers = {HEADER: signature(secret, body, datetime.now(UTC))}
                answer: Any = api.post("/v1/print/callbacks/alpha", content=body, headers=headers)
                heard.append(answer.status_code)
                return bool(answer.is_success)

            manner = Manner(day=0.5, tracked=True, identity=str(own))
            house = PrintHouse(folders["out"], folders["told"], tmp_path / "house", manner, call=call)
            try:
                ends = time.monotonic() + 20
                while status(pipeline, sender, delivery) != "delivered" and time.monotonic() < ends:
                    house.round()
                    time.sleep(0.05)
                assert (house.counts.printed, house.counts.posted) == (1, 1)
            finally:
                house.close()
            assert status(pipeline, sender, delivery) == "delivered"
            assert len(heard) >= 3
            assert set(heard) == {200}
            assert not call(b"{}", secret=b"t" * 40)
            assert print_desk.exceptions(pipeline.context, limit=5) == []
            told = execute(database, "SELECT event FROM print_report ORDER BY at")
            assert [event for (event,) in told][:3] == ["accepted", "printed", "posted"]
            reports = execute(database, "SELECT event, agrees FROM print_batch_report WHERE event = 'acknowledged'")
            assert reports == [("acknowledged", True)]
