"""docs/runbooks/leak.md, as it is written: each command does what the page says."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from service.cli.main import zending
from service.domain.errors import Unauthenticated
from service.identity.clients import SecretCredentials
from service.identity.grants import ClientCredentialsRequest
from service.identity.scopes import Scope
from service.identity.tokens import TokenIssuer, TokenVerifier, load_signing_key
from service.own_keys import make_keys
from service.usecases import access, organisations
from tests.embedded_support import CHECKOUT
from tests.pipeline_support import Pipeline, TestDatabase

PAGE = CHECKOUT / "docs" / "runbooks" / "leak.md"


def run(database: TestDatabase, *arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(zending, ["organisations", *arguments], env={"DATABASE_URL": database.app_url})
    assert done.exit_code == status, done.output
    return done.output


def test_every_command_of_the_page_exists() -> None:
    commands = re.findall(r"^ {7}zending (\S+) (\S+)", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(commands) >= 6
    for group, name in commands:
        arguments = [group] if name.startswith("-") else [group, name]
        assert CliRunner().invoke(zending, [*arguments, "--help"]).exit_code == 0, (group, name)
    for page in re.findall(r"\]\(([a-z-]+\.md)\)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / page).exists() or page in {"key-rotation.md", "lost-key.md"}, page


def test_a_leaked_secret_is_switched_off_and_replaced(
    pipeline: Pipeline, database: TestDatabase, tmp_path: Path
) -> None:
    organisation = pipeline.organisation("leaky")
    with database.database.transaction() as session:
        client = organisations.NewClient("leaky-client", "test", "old-secret", [Scope.DELIVERIES_READ])
        organisations.ensure_client(session, organisation, client)

    def token(secret: str) -> bool:
        wanted = ClientCredentialsRequest(None)
        credentials = SecretCredentials("leaky-client", secret)
        try:
            access.client_token(pipeline.context, pipeline.application.tokens, credentials, wanted)
        except Unauthenticated:
            return False
        return True

    assert token("old-secret")
    assert "client leaky-client: active" in run(database, "list")
    run(database, "switch-off", "leaky-client")
    assert not token("old-secret")
    target = tmp_path / "secret"
    told = run(database, "new-secret", "leaky-client", "--to", str(target))
    secret = target.read_text("ascii").strip()
    assert secret not in told
    assert target.stat().st_mode & 0o077 == 0
    run(database, "switch-on", "leaky-client")
    assert token(secret)
    assert not token("old-secret")
    with database.database.transaction() as session:
        acts = session.scalars(text("SELECT act FROM audit_entry ORDER BY id")).all()
    assert acts == ["client.switch_off", "client.new_secret", "client.switch_on"]
    run(database, "switch-off", "nobody", status=1)


def test_ending_sessions_ends_all_of_them(pipeline: Pipeline, database: TestDatabase) -> None:
    with database.database.transaction() as session:
        session.execute(
            text("INSERT INTO web_session VALUES (:id, 'x', now(), now(), now() + interval '1 hour')"),
            {"id": b"h" * 32},
        )
    assert "1 sessions ended" in run(database, "end-sessions")
    with database.database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM web_session")) == 0


def test_a_new_token_key_ends_all_tokens_and_leaves_the_other_keys(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    ledger = make_keys(folder, "example.org/log").vkeys
    now = datetime.now(UTC)
    old = load_signing_key((folder / "tokens.pem").read_bytes())
    issued = TokenIssuer(issuer="i", audience="a", key=old).issue(now=now, subject="s", client_id="c", scopes=[])
    index = (folder / "keyring").rglob("*")
    kept = {file: file.read_bytes() for file in index if file.is_file()}
    (folder / "tokens.pem").rename(tmp_path / "tokens.pem.leaked")
    done = CliRunner().invoke(zending, ["keys", "--folder", str(folder), "--origin", "example.org/log"])
    assert done.exit_code == 0, done.output
    new = load_signing_key((folder / "tokens.pem").read_bytes())
    with pytest.raises(Unauthenticated):
        TokenVerifier(issuer="i", audience="a", keys=[new]).verify(issued.token, now)
    assert make_keys(folder, "example.org/log").vkeys == ledger
    assert all(file.read_bytes() == content for file, content in kept.items())
