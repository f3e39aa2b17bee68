"""What an organisation wants of letters that can't be delivered, where a delivery doesn't say."""

import uuid
from dataclasses import replace

from click.testing import CliRunner

from service.cli.main import zending
from service.db.ids import DELIVERY, parse_id
from service.usecases.desk import Desk
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase


def test_the_organisations_choice_holds_where_a_delivery_does_not_say(
    pipeline: Pipeline, database: TestDatabase
) -> None:
    slug = f"choice-{uuid.uuid4().hex[:8]}"
    sender = pipeline.organisation(slug)
    other = pipeline.organisation()

    def kept(of: uuid.UUID = sender, **said: str) -> str:
        delivery = pipeline.hand_in(of, "jan", **({"print": said} if said else {}))
        shown = execute(
            database,
            "SELECT print_options->>'undeliverable' FROM delivery WHERE id = %s",
            parse_id(DELIVERY, delivery.delivery_id),
        )
        assert delivery.status == 202
        return str(shown[0][0])

    def choose(what: str) -> int:
        command = ["organisations", "undeliverable", slug, what]
        # An organisation is known as it was some seconds ago; another process begins without.
        pipeline.context = replace(pipeline.context, desk=Desk())
        return CliRunner().invoke(zending, command, env={"DATABASE_URL": database.app_url}).exit_code

    assert (kept(), kept(undeliverable="destroy")) == ("return", "destroy")
    assert choose("destroy") == 0
    assert (kept(), kept(undeliverable="return"), kept(other)) == ("destroy", "return", "return")
    assert choose("default") == 0
    assert kept() == "return"
    assert choose("burn") != 0
    told = "SELECT details->>'undeliverable' FROM audit_entry WHERE act = 'organisation.undeliverable' ORDER BY at"
    trail = execute(database, told)
    assert [row[0] for row in trail] == ["destroy", None]
