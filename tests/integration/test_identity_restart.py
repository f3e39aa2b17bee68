from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.identity.errors import IdTokenInvalid
from service.identity.oidc import OidcSettings, OpenIdProvider
from service.outgoing import http_client
from tests.identity_support import REDIRECT, browser_answer, free_port, running_provider


def _log_in(provider: OpenIdProvider, now: datetime) -> str:
    start = provider.start(now=now, redirect_uri=REDIRECT)
    answer = browser_answer(start.url, sub="cem")
    log_in = provider.finish(now=now, redirect_uri=REDIRECT, pending=start.pending, parameters=answer)
    assert (log_in.person.national_number, log_in.person.enterprise_number) == ("17073003384", "0403019261")
    return log_in.id_token


def test_a_restart_of_the_embedded_provider_invalidates_nothing(tmp_path: Path) -> None:
    port, now = free_port(), datetime.now(UTC)
    with http_client({"127.0.0.1"}) as http:
        provider = OpenIdProvider(OidcSettings(f"http://127.0.0.1:{port}", "any", "any"), http=http)
        with running_provider(tmp_path, port=port):
            before = _log_in(provider, now)
        with running_provider(tmp_path, port=port):
            provider.validate_id_token(before, now=now)
            _log_in(provider, now)


def test_a_lost_signing_key_ends_old_tokens_and_new_ones_are_believed_without_a_restart_of_ours(tmp_path: Path) -> None:
    port, now = free_port(), datetime.now(UTC)
    with http_client({"127.0.0.1"}) as http:
        provider = OpenIdProvider(OidcSettings(f"http://127.0.0.1:{port}", "any", "any"), http=http)
        with running_provider(tmp_path, port=port) as running:
            before = _log_in(provider, now)
        running.key_file.unlink()
        with running_provider(tmp_path, port=port):
            later = now + timedelta(seconds=10)
            _log_in(provider, later)
            with pytest.raises(IdTokenInvalid):
                provider.validate_id_token(before, now=later)
