"""What people read calls a thing by one name in all its parts: pages, notices, letters, seals, reports, proof."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = {
    language: [
        f"service/portal/locale/{language}/LC_MESSAGES/portal.po",
        f"service/usecases/signatures/words/{language}.toml",
        f"service/usecases/evidence_page/words/{language}.toml",
    ]
    for language in ("fr", "de")
}
SHARED = (
    "service/notifications/texts.py",
    "service/usecases/activation.py",
    "printing/texts.toml",
    "signing/appearance/words.toml",
    "signing/validation/sentences.toml",
)
STRANGE = {
    "fr": ("scell", "courriel", "numéro national", "aux lettres numérique", "lettre recommandée", "timbre horaire"),
    "de": (
        "versiegel",
        "unterzeichne",
        "Nationalnummer",
        "digitalen Briefkasten",
        "eingeschriebene",
        "E-Mail-Postfach",
    ),
}
"""Names that are used elsewhere for what is called otherwise here."""


@pytest.mark.parametrize("language", STRANGE)
def test_no_part_uses_another_name(language: str) -> None:
    strange = re.compile("|".join(STRANGE[language]), re.IGNORECASE)
    found = {
        part: seen
        for part in (*PARTS[language], *SHARED)
        if (seen := strange.findall((ROOT / part).read_text("utf-8")))
    }
    assert found == {}
