"""Servers that a test starts for itself: an S3 server, a broker, a relay of connections."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.processes_support import Processes, answers, free_port, plain_environment
from tests.service_support import until
from tests.tools_support import program

RELAY = Path(__file__).resolve().parent / "machines" / "relay.py"


@contextmanager
def object_store(host: str, logs: Path) -> Iterator[dict[str, str]]:
    """An S3 server in a process of its own, with a bucket; the settings that lead there."""
    servers, port = Processes(logs), free_port(host)
    servers.start("s3", (sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)), plain_environment())
    url = f"http://{host}:{port}"
    try:
        with httpx.Client(trust_env=False, timeout=30.0) as client:
            until(lambda: answers(host, port), "the S3 server")
            assert client.put(f"{url}/zending").status_code == httpx.codes.OK
        yield {
            "STORAGE_URL": f"s3://zending/vault?endpoint={url}&allow_http=yes&region=us-east-1",
            "ZENDING_STORAGE_ACCESS_KEY": "testing",
            "ZENDING_STORAGE_SECRET_KEY": "testing",
        }
    finally:
        servers.kill()


@contextmanager
def rabbitmq(host: str, folder: Path) -> Iterator[str]:
    """Debian's RabbitMQ as a server of ours, not the system's: own folders, ports, node name and user."""
    server = program("rabbitmq-server")
    scripts = Path(server).resolve().parent
    raw = Path("/usr/lib/rabbitmq/bin")
    scripts = raw if raw.is_dir() else scripts
    port, distribution = free_port(host), free_port(host)
    folder.mkdir()
    node, password = f"zending{secrets.token_hex(3)}@localhost", secrets.token_urlsafe(18)
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = {host}:{port}\ndefault_user = zending\ndefault_pass = {password}\n"
        "loopback_users = none\nlog.console = true\nlog.file = false\n"
    )
    cookie = folder / ".erlang.cookie"
    cookie.write_text(secrets.token_hex(20))
    cookie.chmod(0o400)
    environment = plain_environment() | {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": node,
        "RABBITMQ_BASE": str(folder),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        # No name service of Erlang's that would outlive the test: one node needs none.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false",
        "ERL_EPMD_PORT": str(free_port("127.0.0.1")),
    }
    servers = Processes(folder)
    servers.start("rabbitmq", (scripts / "rabbitmq-server",), environment)
    try:
        until(lambda: answers(host, port), "RabbitMQ")
        yield f"amqp://zending:{password}@{host}:{port}//"
    finally:
        servers.kill()


def relay(processes: Processes, name: str, listening: str, *targets: str, ready: str | None = None) -> None:
    """Carry connections; see tests/machines/relay.py."""
    more = () if ready is None else ("--ready", ready)
    processes.start(name, (sys.executable, RELAY, listening, *targets, *more), plain_environment())


def place_of(url: str) -> str:
    """Host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"
