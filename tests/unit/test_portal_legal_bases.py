"""The register's entries as a page for anybody, and as the file whose hash evidence names."""

import hashlib
from collections.abc import Iterator

import pytest

from service.domain import legal_bases
from service.domain.legal_basis import Entry
from service.portal.languages import OFFERED
from tests.portal_support import Browser, House, house, texts

ENTRIES = legal_bases.load().entries()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def stranger(started: House, monkeypatch: pytest.MonkeyPatch) -> Browser:
    return started.browser(monkeypatch)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry.name))
@pytest.mark.parametrize("language", OFFERED)
def test_anybody_reads_an_entry_in_their_language(stranger: Browser, entry: Entry, language: str) -> None:
    stranger.client.cookies.set("zending_language", language)
    page = stranger.get(f"/legal-bases/{entry.id}/{entry.version}").text
    assert entry.title[language] in texts(page)
    assert entry.sha256 in texts(page)
    assert (texts(page).count("Example, not law") > 0) is (entry.example and language == "en")


def test_the_file_is_the_one_that_evidence_names(stranger: Browser) -> None:
    for entry in ENTRIES:
        answer = stranger.get(f"/legal-bases/{entry.id}/{entry.version}/file")
        assert hashlib.sha256(answer.content).hexdigest() == entry.sha256
        assert answer.headers["content-disposition"] == f'attachment; filename="{entry.id}.{entry.version}.toml"'


def test_a_version_that_is_not_there_is_not_found(stranger: Browser) -> None:
    for path in ("example-consent/2", "nothing/1", "example-consent/2/file"):
        assert stranger.get(f"/legal-bases/{path}").status_code == 404
