"""Keeping the catalogs in step with the pages: ``python -m service.portal.catalogs`` after a sentence changed.

Translations that are there stay; new sentences are added without one, sentences that are gone are removed. English
sentences are their own translation.
"""

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from service.portal import languages

_HERE: Final = Path(__file__).parent
_METHODS: Final = [("**.py", "python"), ("templates/**.html", "jinja2")]
_OPTIONS: Final[Mapping[str, dict[str, Any]]] = {
    "templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false", "newstyle_gettext": "true"}
}
_DATE: Final = datetime(2026, 1, 1, tzinfo=UTC)
Sentence = str | tuple[str, ...]


def sentences() -> Iterator[tuple[Sentence, str]]:
    """Every sentence that the pages can show, with the file it stands in."""
    found = extract_from_dir(_HERE, method_map=_METHODS, options_map=dict(_OPTIONS))
    for file, _, message, _, _ in sorted(found, key=lambda each: (each[0], each[1])):
        yield message, file


def renewed(language: str) -> Catalog:
    """A language's catalog with exactly the sentences that are in use."""
    path = languages.catalog_path(language)
    old = languages.read_catalog(language) if path.exists() else Catalog(locale=language)
    # Fixed dates: a catalog in which no sentence changed must not change either.
    new = Catalog(
        locale=language, project="Zending", version="portal", fuzzy=False, charset="utf-8",
        header_comment="# SPDX-License-Identifier: EUPL-1.2", msgid_bugs_address="-", last_translator="-",
        language_team="-", creation_date=_DATE, revision_date=_DATE,
    )  # fmt: skip
    for message, file in sentences():
        known = old.get(message if isinstance(message, str) else message[0])
        string = known.string if known is not None and not known.fuzzy else None
        if language == "en" and (not string or (isinstance(string, tuple) and not all(string))):
            string = message
        # Without line numbers: they would change with every edit and tell translators nothing.
        new.add(message, string, locations=[(file, 0)])
    return new


def main() -> int:
    """Renew all catalogs."""
    for language in languages.OFFERED:
        path = languages.catalog_path(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        catalog = renewed(language)
        with path.open("wb") as file:
            write_po(file, catalog, width=110, omit_header=False, include_lineno=False, sort_output=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
