"""Visible seals: what they show, to eyes, to scanners and to screen readers."""

import io
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from signing.appearance import LATIN, Appearance, InCorner
from signing.appearance.typeface import Typeface
from signing.validate import validate
from tests.appearance_support import (
    ADDRESS,
    CODE,
    FONT,
    appearance,
    codes,
    described,
    logo,
    page,
    prepared,
    sealed,
    seen,
    widget,
)
from tests.signing_support import outside, plain_pdf, roots

LONG = "Agentschap voor Binnenlands Bestuur, Afdeling Juridische Ondersteuning, Verzekeringen en Schadeloosstellingen"
MODEST = 9_000
"""Bytes that a visible seal without a logo may add to an invisible one."""


def words(pdf: bytes, folder: Path) -> str:
    file = folder / "shown.pdf"
    file.write_bytes(pdf)
    return outside("pdftotext", "-layout", file, "-").stdout


@pytest.mark.parametrize("algorithm", ["p-256", "rsa-3072"])
@pytest.mark.parametrize("stamped", [False, True])
def test_a_visible_seal_is_valid_for_us_and_for_others(algorithm: str, *, stamped: bool, tmp_path: Path) -> None:
    done = sealed(plain_pdf(), appearance(logo=logo()), algorithm=algorithm, stamped=stamped)
    assert done.shown.page == 1
    assert validate(done.pdf, trust_roots=roots(), at=datetime.now(UTC)).valid
    file = tmp_path / "sealed.pdf"
    file.write_bytes(done.pdf)
    judged = outside("pdfsig", "-nocert", file).stdout
    assert "Signature is Valid." in judged
    assert "Total document signed" in judged
    assert outside("qpdf", "--check", file).returncode == 0


CHECKED_AT = "zending.voorbeeld.be/verify"
SAID = {
    "nl": ("Elektronisch verzegeld door", "28 november 2026, 16:30:05 (UTC+1)", f"Controleer op {CHECKED_AT}"),
    "fr": ("Cacheté électroniquement par", "28 novembre 2026, 16:30:05 (UTC+1)", f"À vérifier sur {CHECKED_AT}"),
    "de": ("Elektronisch gesiegelt von", "28. November 2026, 16:30:05 (UTC+1)", f"Zu überprüfen auf {CHECKED_AT}"),
    "en": ("Electronically sealed by", "28 November 2026, 16:30:05 (UTC+1)", f"Check at {CHECKED_AT}"),
}


@pytest.mark.parametrize("language", SAID)
def test_it_speaks_the_profiles_language_to_readers_scanners_and_screen_readers(language: str, tmp_path: Path) -> None:
    done = prepared(plain_pdf(), appearance(language=language, organisation="Fürstentum «Ægir» – Œuvre d’État"))
    read = words(done.pdf, tmp_path)
    for line in (*SAID[language], "Fürstentum «Ægir» – Œuvre d’État", f"Code {CODE}"):
        assert line in read
    assert codes(seen(done.pdf)) == [ADDRESS.format(code=CODE)]
    told = described(done.pdf)
    assert all(part in told for part in (*SAID[language], "Fürstentum «Ægir» – Œuvre d’État", CODE))


@pytest.mark.parametrize("number", range(12))
def test_every_code_is_read_back_as_it_was_given(number: int) -> None:
    code = "-".join(f"{(number * 7919 + part * 104729) % 36**4:04X}" for part in range(1, 5))
    assert codes(seen(prepared(plain_pdf(), appearance(), code=code).pdf)) == [ADDRESS.format(code=code)]


def test_without_a_code_there_is_nothing_to_scan_and_nothing_to_check(tmp_path: Path) -> None:
    done = prepared(plain_pdf(), appearance(), code=None)
    assert codes(seen(done.pdf)) == []
    read = words(done.pdf, tmp_path)
    assert "Gemeente Voorbeeld" in read
    assert "Code" not in read
    assert "Controleer" not in read


def test_a_persons_signature_names_the_person(tmp_path: Path) -> None:
    look = appearance(act="signed", characters=LATIN)
    done = prepared(plain_pdf(), look, name="Zoë Dvořák-Ștefănescu")
    read = words(done.pdf, tmp_path)
    assert "Elektronisch ondertekend door" in read
    assert "Zoë Dvořák-Ștefănescu" in read
    assert "Gemeente" not in read


def test_letters_the_font_was_not_prepared_for_lose_their_accents_and_keep_them_in_the_description(
    tmp_path: Path,
) -> None:
    done = prepared(plain_pdf(), appearance(act="signed", characters="abcdefghijklmnopqrstuvwxyz"), name="Zoë Łódź 武")
    assert "Zoe ?odz ?" in words(done.pdf, tmp_path)
    assert "Zoë Łódź 武" in described(done.pdf)


def test_a_name_too_long_for_the_panel_is_cut_there_and_whole_in_the_description(tmp_path: Path) -> None:
    done = prepared(plain_pdf(), appearance(organisation=f"{LONG}, {LONG}"))
    assert "…" in words(done.pdf, tmp_path)
    assert f"{LONG}, {LONG}" in described(done.pdf)


def test_the_font_is_prepared_once_and_the_same_in_every_document(monkeypatch: pytest.MonkeyPatch) -> None:
    look = appearance()
    monkeypatch.setattr(Typeface, "subset", None)
    assert _program(prepared(plain_pdf(), look).pdf) == _program(prepared(page(), look, code="AAAA").pdf)


def _program(pdf: bytes) -> bytes:
    with widget(pdf) as found:
        font = found.AP.N.Resources.Font.F.DescendantFonts[0]
        data: bytes = font.FontDescriptor.FontFile2.read_raw_bytes()
    return data


def test_a_visible_seal_stays_small() -> None:
    pdf = plain_pdf()
    seen_of, unseen = sealed(pdf), sealed(pdf, appearance(place=InCorner(page=99)))
    assert unseen.shown.reason == "no_such_page"
    assert len(seen_of.pdf) - len(unseen.pdf) < MODEST


def test_a_logo_is_laid_on_white_and_keeps_its_colours() -> None:
    done = prepared(plain_pdf(), appearance(logo=logo()))
    image = seen(done.pdf, scale=4)
    colours = {colour for count, colour in image.getcolors(1 << 20) or () if count > 200}  # type: ignore[misc]
    for wanted in ((255, 210, 0), (20, 60, 140)):
        assert any(max(abs(a - b) for a, b in zip(colour, wanted, strict=True)) < 14 for colour in colours), colours
    assert b"/SMask" not in done.pdf[len(plain_pdf()) :]


def test_a_photograph_as_a_logo_costs_few_kilobytes() -> None:
    noise = Image.effect_noise((600, 400), 90).convert("RGB")
    out = io.BytesIO()
    noise.save(out, "PNG")
    pdf = plain_pdf()
    grown = len(prepared(pdf, appearance(logo=out.getvalue())).pdf) - len(prepared(pdf, appearance()).pdf)
    assert grown < 30_000


BAD: dict[str, dict[str, Any]] = {
    "an address without a place for the code": {"check_address": "https://zending.voorbeeld.be/verify"},
    "an address with two": {"check_address": "https://x.example/{code}/{code}"},
    "a logo that is no PNG": {"logo": b"GIF89a"},
    "a broken PNG": {"logo": logo()[:60]},
    "a font that is none": {"font": b"OTTO and nothing"},
}


@pytest.mark.parametrize("what", BAD)
def test_a_look_that_could_not_be_shown_is_refused_when_it_is_made(what: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        appearance(**BAD[what])


def test_an_organisation_with_letters_the_font_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="武"):
        appearance(organisation="武蔵野市")


def test_a_picture_too_large_to_unpack_is_refused() -> None:
    out = io.BytesIO()
    Image.new("1", (20_000, 1_100)).save(out, "PNG")
    with pytest.raises(ValueError, match="twenty million"):
        appearance(logo=out.getvalue())


def test_one_look_serves_all_its_documents_with_their_own_words() -> None:
    look: Appearance = appearance()
    assert [codes(seen(prepared(plain_pdf(), look, code=code).pdf))[0][-4:] for code in ("AAAA", "BBBB")] == [
        "AAAA",
        "BBBB",
    ]


def test_the_subset_draws_what_the_font_draws() -> None:
    """Glyphs without their hints, composed ones among them, are the outlines of the whole font."""
    text = "Ağgßéîöûç ŵÆ@&42"
    face = Typeface.subset(FONT.read_bytes(), text)
    assert set(face.codes) == set(text)
    assert not re.search(b"fpgm|prep|cvt ", zlib.decompress(face._program))
    ours, whole = _drawn(text, face).convert("L"), _drawn_whole(text).convert("L")
    away = ImageChops.difference(ours, whole)
    ink = ImageStat.Stat(ImageChops.invert(whole)).sum[0]
    # Hints move edges by parts of a pixel; another glyph would be black where there is white.
    assert away.getextrema()[1] < 128  # type: ignore[operator] # one band: two numbers
    assert ImageStat.Stat(away).sum[0] < 0.08 * ink


def _drawn(text: str, face: Typeface) -> Image.Image:
    writer = PdfFileWriter()
    font = generic.DictionaryObject({generic.pdf_name("/F"): face.add_to(writer)})
    content = writer.add_object(generic.StreamObject(stream_data=b"BT /F 40 Tf 20 100 Td %s Tj ET" % face.encode(text)))
    shown = PageObject(
        contents=content,
        media_box=(0, 0, 600, 200),
        resources=generic.DictionaryObject({generic.pdf_name("/Font"): font}),
    )
    writer.insert_page(shown)
    out = io.BytesIO()
    writer.write(out)
    return seen(out.getvalue())


def _drawn_whole(text: str) -> Image.Image:
    pdfmetrics.registerFont(TTFont("Whole", str(FONT)))
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(600, 200))
    canvas.setFont("Whole", 40)
    canvas.drawString(20, 100, text)
    canvas.save()
    return seen(out.getvalue())
