"""Every sentence is translated, and no page holds one that could not be."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from jinja2 import Environment, nodes

from service.portal import catalogs, languages
from service.portal.languages import OFFERED, Words, choose, words
from service.portal.rendering import TEMPLATES
from tests.portal_support import texts

ALL = sorted({message for message, _ in catalogs.sentences()}, key=str)
KEPT = re.compile(r"%\(\w+\)s|%|</?[a-zA-Z][^>]*>|&\w+;|&#\d+;")
"""Places that are filled in, and marks of HTML."""


def translated(language: str) -> Iterator[tuple[str, str]]:
    """Each sentence beside what it is in a language; of plurals the form that it stands for."""
    said = words(language)
    for message in ALL:
        if isinstance(message, str):
            yield message, said.gettext(message)
        else:
            forms = said._plural[message[0]]
            yield from ((message[min(place, 1)], form) for place, form in enumerate(forms))


@pytest.mark.parametrize("language", OFFERED)
def test_every_sentence_exists_in_every_offered_language(language: str) -> None:
    said = words(language)
    missing = [m for m in ALL if not (said._single.get(m) if isinstance(m, str) else said._plural.get(m[0]))]
    assert missing == []


@pytest.mark.parametrize("language", OFFERED)
def test_every_catalog_holds_exactly_the_sentences_in_use(language: str) -> None:
    kept = {message.id for message in languages.read_catalog(language) if message.id}
    assert kept == {message if isinstance(message, str) else tuple(message) for message in ALL}


@pytest.mark.parametrize("language", OFFERED)
def test_a_translation_keeps_the_places_that_are_filled_in_and_the_marks(language: str) -> None:
    for original, said in translated(language):
        assert sorted(KEPT.findall(said)) == sorted(KEPT.findall(original)), original


def test_what_is_to_be_kept_is_seen() -> None:
    assert KEPT.findall("<b>%(num)s</b> of 100 % &amp; %(x)d") == ["<b>", "%(num)s", "</b>", "%", "&amp;", "%"]


@pytest.mark.parametrize("language", OFFERED)
def test_a_translation_ends_as_the_original_does(language: str) -> None:
    endings = re.compile(r"[.?:…]$")
    for original, said in translated(language):
        assert said == said.strip()
        assert endings.findall(said) == endings.findall(original), original


def test_french_keeps_its_marks_with_their_words() -> None:
    for _, said in translated("fr"):
        assert not re.search(r"(?<!\N{NARROW NO-BREAK SPACE})[?!;:]", said), said
        assert "'" not in said
        assert '"' not in said.replace('# & § "', "")


@pytest.mark.parametrize("language", ["nl", "fr", "de"])
def test_a_translation_is_not_the_english_sentence(language: str) -> None:
    # Sentences, not words: those are the same in several languages.
    left = [said for original, said in translated(language) if said == original and len(original.split()) > 2]
    assert left == []


def test_english_sentences_are_their_own_translation() -> None:
    said = words("en")
    assert [message for message in ALL if isinstance(message, str) and said.gettext(message) != message] == []


def test_what_has_no_translation_shows_in_english() -> None:
    bare = Catalog(locale="fr")
    bare.add("Log in")
    bare.add("Log out", "Se déconnecter", flags=["fuzzy"])
    bare.add(("%(num)s page", "%(num)s pages"), ("%(num)s feuille", ""))
    said = Words("fr", bare)
    assert [said.gettext("Log in"), said.gettext("Log out")] == ["Log in", "Log out"]
    assert said.ngettext("%(num)s page", "%(num)s pages", 2) == "%(num)s pages"
    assert said.ngettext("%(num)s page", "%(num)s pages", 1) == "%(num)s page"


def test_numbers_choose_the_form_of_a_sentence() -> None:
    said = words("nl")
    assert said.ngettext("%(num)s page", "%(num)s pages", 1) == "%(num)s bladzijde"
    assert said.ngettext("%(num)s page", "%(num)s pages", 0) == "%(num)s bladzijden"
    # In French zero goes with the singular.
    assert words("fr").ngettext("%(num)s page", "%(num)s pages", 0) == "%(num)s page"
    assert words("de").ngettext("%(num)s page", "%(num)s pages", 0) == "%(num)s Seiten"


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_templates_hold_no_bare_text(template: Path) -> None:
    tree = Environment(autoescape=True, extensions=["jinja2.ext.i18n"]).parse(template.read_text("utf-8"))
    # Names of languages are the same in every language.
    plain = "".join(each.data for each in tree.find_all(nodes.TemplateData))
    assert [text for text in texts(plain) if re.search(r"[A-Za-z]{2}", text)] == []


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_templates_hold_nothing_inline(template: Path) -> None:
    source = template.read_text("utf-8")
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|hx-on|javascript:", source)
    assert not re.search(r"<script(?![^>]*\bsrc=)", source)
    assert "|safe" not in source.replace(" ", "")


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "", "nl"),
        (None, "fr-BE,fr;q=0.9", "fr"),
        (None, "de-BE, fr-BE;q=0.9, nl;q=0.5", "de"),
        (None, "es;q=0.9, en-GB;q=0.8, nl;q=0.5", "en"),
        (None, "es-ES,it;q=0.9", "nl"),
        (None, "en;q=0.3,nl;q=0.7", "nl"),
        (None, "en;q=nonsense,nl;q=0.1", "nl"),
        ("en", "nl", "en"),
        ("fr", "nl", "fr"),
        ("nl", "en", "nl"),
        ("xx", "en", "en"),
        ("es", "de", "de"),
        ("", "en", "en"),
    ],
)
def test_the_chosen_language_comes_before_the_browsers(cookie: str | None, accepted: str, language: str) -> None:
    assert choose(cookie, accepted) == language


def test_renewing_the_catalogs_changes_nothing_that_is_translated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {language: languages.catalog_path(language).read_bytes() for language in OFFERED}
    for language, content in before.items():
        (tmp_path / language / "LC_MESSAGES").mkdir(parents=True)
        (tmp_path / language / "LC_MESSAGES" / "portal.po").write_bytes(content)
    monkeypatch.setattr(languages, "FOLDER", tmp_path)
    assert catalogs.main() == 0
    assert {language: languages.catalog_path(language).read_bytes() for language in OFFERED} == before


def test_a_new_language_begins_with_every_sentence_untranslated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(languages, "FOLDER", tmp_path)
    made = catalogs.renewed("de")
    assert {message.id for message in made if message.id} == set(ALL)
    assert not any(message.string for message in made if isinstance(message.id, str) and message.id)
