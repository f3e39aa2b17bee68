"""A receiver of webhooks on loopback, and subscriptions to it."""

import dataclasses
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from standardwebhooks.webhooks import Webhook as Verifier

from service.db.jobs import JobKind
from service.outgoing import Poster
from service.usecases import webhook_log, webhook_sending, webhooks
from service.usecases.webhook_log import WebhookMessageView
from service.usecases.webhooks import Asked, Caller, WebhookSecretView
from tests.api_e2e_support import Caller as HttpCaller
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Got:
    """A message as it arrived."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def content(self) -> Any:
        return msgspec.json.decode(self.body)

    def verified(self, secret: str) -> Any:
        """The content, if the library that receivers use believes it."""
        return Verifier(secret).verify(self.body, dict(self.headers))


@dataclass
class Receiver:
    """What arrived, and what is answered: a status code, or a function that answers by itself."""

    port: int
    got: list[Got] = field(default_factory=list)
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    before: Callable[[Got], object] = lambda _: None
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{HOST}:{self.port}/hook"

    @property
    def types(self) -> list[str]:
        return [each.content["type"] for each in self.got]

    def until(self, enough: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait for something to be so."""
        ends = time.monotonic() + seconds
        while not enough():
            assert time.monotonic() < ends, self.types
            time.sleep(0.05)


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that listens until the block ends, by TLS where it is given a context for it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got = Got({name.lower(): value for name, value in self.headers.items()}, body)
            receiver.got.append(got)
            receiver.before(got)
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server((HOST, 0), Handler) as server:
        receiver = Receiver(server.server_port, scheme="https" if tls else "http")
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def subscribe(pipeline: Pipeline, sender: uuid.UUID, url: str, *types: str) -> WebhookSecretView:
    """Subscribe to these types, or to all."""
    caller = Caller(sender, "client:test")
    return webhooks.subscribe(pipeline.context, caller, Asked(url, types or None), key=uuid.uuid4().hex).view


def send(pipeline: Pipeline) -> int:
    """Send what is due, as scheduler and worker do; how many subscriptions had something."""
    put = webhook_sending.put_due(pipeline.context)
    pipeline.work(JobKind.WEBHOOK)
    return put


def trusting(pipeline: Pipeline, *hosts: str, seconds: float = 3.0) -> None:
    """Let calls go to these hosts, wherever they are, and last so long at most."""
    pipeline.context = dataclasses.replace(pipeline.context, poster=Poster(hosts, seconds=seconds))


def ask(pipeline: Pipeline, sender: uuid.UUID, webhook: str, count: int = 1) -> list[str]:
    """Let a webhook have messages, without any delivery."""
    caller = Caller(sender, "client:test")
    return [webhook_log.send_test(pipeline.context, caller, webhook).id for _ in range(count)]


def again(pipeline: Pipeline, database: TestDatabase) -> int:
    """Let the next time come at which something is to be tried, and send."""
    execute(database, "UPDATE webhook_message SET next_at = clock_timestamp() WHERE next_at IS NOT NULL")
    execute(database, "UPDATE webhook SET rest_until = clock_timestamp() - interval '1 second'")
    return send(pipeline)


def log_of(pipeline: Pipeline, sender: uuid.UUID, webhook: str) -> list[WebhookMessageView]:
    """The messages of a subscription, oldest first."""
    return webhook_log.messages(pipeline.context, sender, webhook, limit=200).items[::-1]


def subscribe_over_http(caller: HttpCaller, url: str = f"http://{HOST}:9/hook", **more: Any) -> str:
    """The id of a new webhook; nobody listens at the usual address."""
    return str(made_over_http(caller, url, **more)["webhook"]["id"])


def made_over_http(caller: HttpCaller, url: str, **more: Any) -> Any:
    """A new webhook with its secret."""
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    answer = caller("POST", "/v1/webhooks", json={"url": url, **more}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()
