import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from service.embedded.kept import known_port
from service.embedded.postgres import EmbeddedPostgres, Urls
from service.embedded.supervisor import HomeInUse, Supervisor
from tests.embedded_support import ORDINARY, ordinary_folder, owners, runs, supervising, until

REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
POSTGRES = "EmbeddedPostgres(supervisor.home, supervisor).start()"


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def one(url: str, query: str) -> object:
    with connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedPostgres, Urls]]:
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("a home"))
    urls = postgres.start()
    yield postgres, urls
    postgres.stop()
    assert postgres.pid is None


def test_each_role_logs_in_as_itself(server: tuple[EmbeddedPostgres, Urls]) -> None:
    _, urls = server
    for url, name in ((urls.owner, "zending_owner"), (urls.app, "zending_app"), (urls.readonly, "zending_readonly")):
        assert one(url, "SELECT current_user || '@' || current_database()") == f"{name}@zending"
    assert one(urls.superuser, "SELECT current_user || '@' || current_database()") == "postgres@postgres"


def test_only_the_set_up_role_has_power_over_the_server(server: tuple[EmbeddedPostgres, Urls]) -> None:
    _, urls = server
    powers = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    for url in (urls.owner, urls.app, urls.readonly):
        assert one(url, f"SELECT {powers} FROM pg_roles WHERE rolname = current_user") is False
        with connect(url) as connection:
            for wanted in (
                "SELECT pg_read_file('/etc/passwd')",
                "COPY (SELECT 1) TO '/etc/zending'",
                "CREATE ROLE more",
            ):
                with pytest.raises(REFUSED):
                    connection.execute(wanted.encode())
        with pytest.raises(psycopg.OperationalError):
            connect(url.rpartition("/")[0] + "/postgres")


def test_only_the_owner_makes_tables_and_nobody_else_sees_them_unasked(server: tuple[EmbeddedPostgres, Urls]) -> None:
    _, urls = server
    with connect(urls.owner) as connection:
        connection.execute("CREATE TABLE own (n int)")
    for url in (urls.app, urls.readonly):
        with connect(url) as connection:
            for wanted in ("SELECT FROM own", "DROP TABLE own"):
                with pytest.raises(REFUSED):
                    connection.execute(wanted.encode())
    with connect(urls.app) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE TABLE theirs (n int)")


def test_the_reading_role_can_not_write_even_where_it_was_allowed_to(server: tuple[EmbeddedPostgres, Urls]) -> None:
    _, urls = server
    with connect(urls.owner) as connection:
        connection.execute("CREATE TABLE granted (n int)")
        connection.execute("GRANT SELECT, INSERT ON granted TO zending_readonly")
    with connect(urls.readonly) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("INSERT INTO granted VALUES (1)")


def test_what_is_committed_is_on_disk(server: tuple[EmbeddedPostgres, Urls]) -> None:
    _, urls = server
    for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
        assert one(urls.app, f"SHOW {setting}") == "on"


def test_the_log_holds_no_values_of_failed_statements(server: tuple[EmbeddedPostgres, Urls]) -> None:
    postgres, urls = server
    with connect(urls.owner) as connection:
        connection.execute("CREATE TABLE once (who text UNIQUE)")
        connection.execute("INSERT INTO once VALUES ('85073003328')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO once VALUES ('85073003328')")
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0 WHERE 'An Peeters' <> ''")
    log = (postgres._home / "logs" / "postgres.log").read_text("utf-8")
    assert "duplicate key value" in log
    assert "85073003328" not in log
    assert "An Peeters" not in log


def test_passwords_are_files_of_the_owner_and_in_no_text(server: tuple[EmbeddedPostgres, Urls]) -> None:
    postgres, urls = server
    files = sorted((postgres._home / "secrets").iterdir())
    assert len(files) == 4
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text("utf-8") not in repr(urls)
    command = Path(f"/proc/{postgres.pid}/cmdline").read_text("utf-8")
    assert not any(file.read_text("utf-8") in command for file in files)


def test_nobody_enters_without_the_password(server: tuple[EmbeddedPostgres, Urls]) -> None:
    postgres, _ = server
    for name in ("postgres", "zending_owner", "zending_app", "zending_readonly"):
        for address in (f"{name}@", f"{name}:wrong@"):
            with pytest.raises(psycopg.OperationalError):
                connect(f"postgresql://{address}127.0.0.1:{postgres.port}/zending")


def test_a_killed_server_comes_back_on_its_port_with_what_was_committed(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "home", notice=lambda _: None) as supervisor:
        postgres = EmbeddedPostgres(supervisor.home, supervisor)
        urls = postgres.start()
        with connect(urls.owner) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
        first = postgres.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: postgres.pid not in {first, None} and supervisor.state("postgres").value == "running")
        assert one(urls.owner, "SELECT n FROM kept") == 42


def test_the_server_dies_with_its_supervisor_and_loses_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with supervising(home, POSTGRES) as first:
        urls = EmbeddedPostgres(home)
        urls._port = known_port(home / "ports" / "postgres") or 0
        with connect(urls.urls().owner) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
        first.kill()
    # At once, while the old server may still be writing its last pages.
    again = EmbeddedPostgres(home)
    try:
        assert one(again.start().owner, "SELECT n FROM kept") == 42
        assert not runs(first.pids["postgres"])
    finally:
        again.stop()


def test_the_note_of_a_server_long_gone_does_not_stop_the_next(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    postgres.start()
    note = tmp_path / "postgres" / "data" / "postmaster.pid"
    lines = note.read_text("ascii").splitlines()
    postgres.stop()
    # After a restart of the machine the number belongs to some other program.
    note.write_text("\n".join([str(os.getppid()), *lines[1:]]), "ascii")
    urls = postgres.start()
    assert one(urls.app, "SELECT 1") == 1
    postgres.stop()


def test_an_interrupted_making_is_begun_again(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "fresh"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    postgres = EmbeddedPostgres(tmp_path)
    assert one(postgres.start().app, "SELECT 1") == 1
    postgres.stop()
    assert not half.exists()


def test_a_lost_password_file_is_replaced_and_the_role_follows(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    before = postgres.start().app
    postgres.stop()
    (tmp_path / "secrets" / "zending_app.password").unlink()
    after = postgres.start().app
    assert after != before
    assert one(after, "SELECT 1") == 1
    postgres.stop()


def test_two_on_one_home_are_refused_in_words(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    postgres.start()
    with pytest.raises(HomeInUse) as refused:
        EmbeddedPostgres(tmp_path).start()
    assert str(os.getpid()) in str(refused.value)
    assert "ZENDING_HOME" in str(refused.value)
    assert postgres.pid is not None
    postgres.stop()


def test_an_ordinary_user_runs_it_in_a_folder_of_their_own() -> None:
    with ordinary_folder() as folder:
        home = folder / "home"
        with supervising(home, POSTGRES, user=ORDINARY) as first:
            assert Path(f"/proc/{first.pids['postgres']}").stat().st_uid == folder.stat().st_uid
            assert first.end() == 128 + signal.SIGTERM
        assert owners(home) == {folder.stat().st_uid}
        with supervising(home, POSTGRES, user=ORDINARY) as second:
            assert second.end() == 128 + signal.SIGTERM


def test_as_root_the_server_is_nobody_even_where_only_root_may_enter(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with supervising(tmp_path / "home", POSTGRES) as supervisor:
        status = Path(f"/proc/{supervisor.pids['postgres']}/status").read_text("ascii")
        users = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        expected = ORDINARY if os.geteuid() == 0 else os.geteuid()
        assert users == [str(expected)] * 4
