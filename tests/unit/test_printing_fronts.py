"""Fronts of letters: everything on the address page, receipts, what is printed over a document."""

from io import BytesIO
from typing import get_args

import pikepdf
import pytest
import zxingcpp
from pikepdf import Dictionary, Name
from PIL import ImageChops

from printing import checks
from printing.letters import Extras, Invitation, Language, Marks, Sender, Undeliverable
from printing.numbers import shown
from printing.profiles import load
from tests.printing_support import ADDRESS, SENDER, changed, dark_box, document, letter, picture, texts_of


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("undeliverable", ["return", "destroy"])
def test_an_address_page_with_everything_on_it_keeps_margins_window_and_code_zone(
    language: Language, undeliverable: Undeliverable
) -> None:
    sender = Sender(
        "Agentschap voor Voorbeelden en Verzonnen Zaken van het Gewest", SENDER.return_address * 2, ("x" * 90,) * 6
    )
    invitation = Invitation("7Q4K-ZZ2P-9M3T", "https://post.voorbeeld.test/mailbox/activation", "28 septembre 2027")
    number = "010541288500452621221234567890"
    made = letter(
        document("een"),
        *[document("bijlage")] * 9,
        sender=sender,
        language=language,
        reference="R" * 100,
        marks=Marks(registered=True, registered_number=number),
        extras=Extras("https://post.voorbeeld.test/verify", undeliverable, invitation),
    )
    own = [shown("gs1", number)]
    assert checks.check_letter(made.pdf, sheets=made.sheets, profile=load(), own_codes=own).problems == ()
    page = texts_of(made.pdf)[0]
    assert "7Q4K-ZZ2P-9M3T" in page
    assert "post.voorbeeld.test/verify" in page
    assert "9" in page
    image = picture(made.pdf, 0, 300)
    codes = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    assert [each.text for each in codes] == ["https://post.voorbeeld.test/verify"]


@pytest.mark.parametrize("number", [None, "RR473124829BE"])
def test_a_return_receipt_is_the_last_sheet_with_who_sent_what_to_whom(number: str | None) -> None:
    marks = Marks(registered=True, registered_number=number)
    made = letter(document("een"), marks=marks, return_receipt=True, mode="stamp", duplex=True)
    pages = texts_of(made.pdf)
    assert (made.sheets, pages[-1]) == (2, "")
    form = pages[-2]
    assert all(line in form for line in (*ADDRESS, *SENDER.return_address, "Ontvangstbewijs", "VB/2026/0001"))
    assert ("RR 473 124 829 BE" in form) == (number is not None)
    assert "RP" in pages[0]


def test_what_is_stamped_changes_nothing_of_the_document_beside_it() -> None:
    pdf = document("een")
    made, plain = letter(pdf, mode="stamp", duplex=False), letter(pdf, mode="adopt", duplex=False)
    difference = dark_box(ImageChops.invert(ImageChops.difference(picture(made.pdf, 0), picture(plain.pdf, 0))))
    assert difference is not None
    left, top, right, bottom = (edge / 72 * 25.4 for edge in difference)
    window = load().window
    assert left >= window.left - 1
    assert top >= window.top - 1
    assert right <= window.right + 1
    assert bottom <= window.bottom + 1
    assert ImageChops.difference(picture(plain.pdf, 0), picture(pdf, 0)).getbbox() is None


def test_a_documents_own_names_are_not_touched_by_what_is_stamped() -> None:
    pdf = changed(document("een"))
    with pikepdf.open(BytesIO(pdf)) as opened:
        own = opened.make_stream(b"0 0 9 9 re f", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
        opened.pages[0].obj.Resources.XObject = Dictionary(ZendingFront=own)
        out = BytesIO()
        opened.save(out, static_id=True)
    made = letter(out.getvalue(), mode="stamp", duplex=False)
    with pikepdf.open(BytesIO(made.pdf)) as opened:
        assert sorted(opened.pages[0].Resources.XObject.keys()) == ["/ZendingFront", "/ZendingFrontA"]
    assert ADDRESS[1] in texts_of(made.pdf)[0]
