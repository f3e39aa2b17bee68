"""Settings: each documented, each unsafe one refused with a sentence, no value ever repeated."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.settings import Mode, Settings, SettingsRefused, read_settings, settings, variables
from tests.settings_support import default_of, variable_of

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
SECRET = "s3cr3t-that-nobody-may-read"
GOOD = {
    "DATABASE_URL": f"postgresql://zending_app:{SECRET}@db.invalid/zending",
    "BROKER_URL": f"redis://:{SECRET}@broker.invalid/0",
    "STORAGE_URL": "file:///srv/zending/store",
    "ZENDING_BASE_URL": "https://zending.invalid",
    "ZENDING_TSA_URL": "https://tsa.invalid",
    "ZENDING_TRUST_ANCHOR": "/srv/zending/anchor.pem",
    "ZENDING_OIDC_ISSUER": "https://login.invalid",
    "ZENDING_SMTP_URL": f"smtp://zending:{SECRET}@mail.invalid",
    "ZENDING_PRINT_FOLDER": "/srv/zending/print",
    "ZENDING_PRINTERS": "/srv/zending/printers",
    "ZENDING_SCANNER_URL": "unix:///run/clamav/clamd.ctl",
}
REQUIRED = {*GOOD, "ZENDING_KEYS_FOLDER"} - {"ZENDING_SCANNER_URL", "ZENDING_PRINTERS"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A production environment in which everything is right."""
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)
    good = GOOD | {"ZENDING_KEYS_FOLDER": str(tmp_path)}
    for variable, value in good.items():
        monkeypatch.setenv(variable, value)
    return good


def refusal(**values: object) -> str:
    with pytest.raises(SettingsRefused) as caught:
        read_settings(**values)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return str(caught.value)


def documented() -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == len({row[0] for row in rows}), "a setting is documented twice"
    return {variable: (default, meaning) for variable, default, meaning in rows}


def test_every_setting_is_documented_with_its_default_and_nothing_else_is() -> None:
    told = documented()
    assert set(told) == {variable_of(name) for name in Settings.model_fields}
    for name in Settings.model_fields:
        default, meaning = told[variable_of(name)]
        assert default == default_of(name), name
        assert len(meaning) > 15, name
        assert meaning.endswith("."), name


def test_good_settings_are_read_from_the_environment() -> None:
    read = read_settings()
    assert read.mode is Mode.PRODUCTION
    assert read.database_url.get_secret_value() == GOOD["DATABASE_URL"]
    assert read.database_owner_url is None
    assert read.secure_cookies
    assert read.port == 8000


def test_what_is_given_wins_over_the_environment() -> None:
    assert read_settings(database_url="postgresql://other", port=1).port == 1


def test_the_brokers_older_name_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_URL")
    monkeypatch.setenv("REDIS_URL", "redis://older.invalid/0")
    assert read_settings().broker_url.get_secret_value() == "redis://older.invalid/0"


@pytest.mark.parametrize("variable", ["DATABASE_URL", "BROKER_URL", "REDIS_URL", "ZENDING_SMTP_URL", "ZENDING_PORT"])
def test_a_setting_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    monkeypatch.delenv(variable, raising=False)
    if variable == "REDIS_URL":
        monkeypatch.delenv("BROKER_URL")
    (tmp_path / "held").write_text("8123\n")
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "held"))
    name = next(each for each in Settings.model_fields if variable in variables(each))
    value = getattr(read_settings(), name)
    assert str(value.get_secret_value() if isinstance(value, SecretStr) else value) == "8123"


def test_a_setting_in_a_file_and_beside_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "held").write_text(SECRET)
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "held"))
    assert refusal() == "Both DATABASE_URL and DATABASE_URL_FILE are set: unset one."
    monkeypatch.delenv("DATABASE_URL_FILE")
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "held"))
    assert refusal() == "Both BROKER_URL and REDIS_URL_FILE are set: unset one."


def test_a_file_that_is_not_there_is_told_by_the_variables_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("DATABASE_URL_FILE", f"/nonexistent/{SECRET}")
    assert refusal() == "The file that DATABASE_URL_FILE names can't be read (FileNotFoundError)."


def test_the_process_reads_its_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.cache_clear()
    first = settings()
    monkeypatch.setenv("ZENDING_PORT", "9")
    assert settings() is first
    settings.cache_clear()
    assert settings().port == 9
    settings.cache_clear()


@pytest.mark.parametrize("variable", sorted(REQUIRED))
def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv(variable)
    assert refusal() == f"{variable} is not set."


def test_all_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in REQUIRED:
        monkeypatch.delenv(variable)
    assert set(refusal().splitlines()) == {f"{variable} is not set." for variable in REQUIRED}


REMOTE_SIGNING = {
    "ZENDING_REMOTE_SIGNING_URL": "https://sign.invalid/csc/v2",
    "ZENDING_REMOTE_SIGNING_CLIENT_ID": "zending",
    "ZENDING_REMOTE_SIGNING_CLIENT_SECRET": SECRET,
    "ZENDING_SIGNER_ANCHORS": "roots.pem",
}

UNSAFE = {
    "scanner": (
        {"ZENDING_SCANNER_URL": None},
        (
            "No malware scanner is set: set ZENDING_SCANNER_URL (for example unix:///run/clamav/clamd.ctl), "
            "or ZENDING_ALLOW_UNSCANNED=true to run without one."
        ),
    ),
    "base url": (
        {"ZENDING_BASE_URL": f"http://{SECRET}.invalid"},
        "ZENDING_BASE_URL must start with https:// in production.",
    ),
    "issuer": (
        {"ZENDING_OIDC_ISSUER": f"http://{SECRET}.invalid"},
        "ZENDING_OIDC_ISSUER must start with https:// in production.",
    ),
    "print house of the plain settings": (
        {"ZENDING_PRINTERS": None},
        (
            "PRINT_NOT_ENCRYPTED: without ZENDING_PRINTERS letters would lie in clear in ZENDING_PRINT_FOLDER. "
            "Set it to a folder with a file <name>.toml for each print house, each with [encryption] and recipients = "
            '["age1…"], the public key of the print house (docs/printing.md, Print houses).'
        ),
    ),
    "remote signing": (
        {**REMOTE_SIGNING, "ZENDING_REMOTE_SIGNING_URL": f"http://{SECRET}.invalid"},
        "ZENDING_REMOTE_SIGNING_URL and …_OAUTH_URL must start with https:// in production.",
    ),
    "remote signing's pages": (
        {**REMOTE_SIGNING, "ZENDING_REMOTE_SIGNING_OAUTH_URL": f"http://{SECRET}.invalid"},
        "ZENDING_REMOTE_SIGNING_URL and …_OAUTH_URL must start with https:// in production.",
    ),
    **{
        f"remote signing without {missing}": (
            {name: value for name, value in REMOTE_SIGNING.items() if name != missing},
            (
                "ZENDING_REMOTE_SIGNING_URL needs ZENDING_REMOTE_SIGNING_CLIENT_ID, "
                "ZENDING_REMOTE_SIGNING_CLIENT_SECRET and ZENDING_SIGNER_ANCHORS."
            ),
        )
        for missing in list(REMOTE_SIGNING)[1:]
    },
    "half of a store's credentials": (
        {"ZENDING_STORAGE_ACCESS_KEY": SECRET},
        "Set both ZENDING_STORAGE_ACCESS_KEY and ZENDING_STORAGE_SECRET_KEY, or neither.",
    ),
    "slash": (
        {"ZENDING_BASE_URL": f"https://{SECRET}.invalid/"},
        "ZENDING_BASE_URL must not end with a slash.",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), UNSAFE.values(), ids=UNSAFE)
def test_an_unsafe_setting_is_refused_with_what_to_change(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], sentence: str
) -> None:
    for variable, value in changes.items():
        if value is None:
            monkeypatch.delenv(variable)
        else:
            monkeypatch.setenv(variable, value)
    assert refusal() == sentence


def test_production_refuses_demonstration_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "DEMO").touch()
    sentence = "The keys in ZENDING_KEYS_FOLDER are demonstration keys: point it at keys made for production."
    assert refusal() == sentence
    monkeypatch.setenv("ZENDING_MODE", "demo")
    assert read_settings().mode is Mode.DEMO


def test_everything_unsafe_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "DEMO").touch()
    monkeypatch.delenv("ZENDING_SCANNER_URL")
    monkeypatch.setenv("ZENDING_BASE_URL", "http://zending.invalid/")
    monkeypatch.setenv("ZENDING_OIDC_ISSUER", "http://login.invalid")
    assert len(refusal().splitlines()) == 5


def test_running_without_a_scanner_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZENDING_SCANNER_URL")
    monkeypatch.setenv("ZENDING_ALLOW_UNSCANNED", "true")
    assert read_settings().allow_unscanned


def test_a_demonstration_may_do_without_tls_scanner_and_described_print_houses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENDING_MODE", "demo")
    monkeypatch.delenv("ZENDING_SCANNER_URL")
    monkeypatch.delenv("ZENDING_PRINTERS")
    monkeypatch.setenv("ZENDING_BASE_URL", "http://127.0.0.1:8000")
    monkeypatch.setenv("ZENDING_OIDC_ISSUER", "http://127.0.0.1:9000")
    assert not read_settings().secure_cookies


@pytest.mark.parametrize("variable", sorted(variable_of(name) for name in Settings.model_fields))
def test_no_refusal_repeats_a_value(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, SECRET)
    try:
        read_settings()
    except SettingsRefused as error:
        assert SECRET not in str(error)  # noqa: PT017  it need not be refused
        assert variable in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ZENDING_MODE", "playground"),
        ("ZENDING_PORT", "0"),
        ("ZENDING_PORT", "65536"),
        ("ZENDING_PRINT_SENDER", "short"),
        ("ZENDING_LOG_FORMAT", "xml"),
        ("ZENDING_EVENT_LOOP", "other"),
        ("ZENDING_LEASE_SECONDS", "1"),
        ("ZENDING_WORKER_SLOTS", "0"),
        ("ZENDING_TOKEN_SECONDS", "86400"),
        ("ZENDING_QUIET_HOURS", "perhaps"),
        ("ZENDING_METRICS_TOKEN", "fifteen-letters"),
        ("ZENDING_TRACES_URL", "ftp://collector.invalid"),
        ("ZENDING_TRACES_SHARE", "1.5"),
    ],
)
def test_a_malformed_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    assert refusal().startswith(f"{variable} can't be used: ")


def test_settings_never_show_their_secrets() -> None:
    read = read_settings(oidc_client_secret=SECRET, database_owner_url=f"postgresql://owner:{SECRET}@db.invalid/z")
    assert SECRET not in repr(read)
    assert SECRET not in str(read)
    assert SECRET not in read.model_dump_json()


def test_returned_mail_that_nothing_comes_back_to_is_refused() -> None:
    assert "ZENDING_BOUNCE_ADDRESS" in refusal(bounce_maildir="/srv/zending/returned-mail")
    assert read_settings(bounce_maildir="/srv/m", bounce_address="bounces@zending.test").bounce_maildir == Path(
        "/srv/m"
    )
