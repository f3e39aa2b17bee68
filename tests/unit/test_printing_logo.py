import dataclasses
from io import BytesIO

import pikepdf
import pytest
from PIL import Image, ImageDraw

from printing import logo, samples
from printing.batch import merge
from printing.checks import check_letter
from printing.letters import Extras, Letter, compose
from printing.logo import Logo, LogoRefused, taken_in
from printing.profiles import Profile, load
from tests.printing_support import batch_letter

LONG = "Federale Overheidsdienst Voorbeelden, Algemene Administratie van de Fictieve Belastingen en Heffingen"


def picture(size: tuple[int, int] = (1200, 500), kind: str = "PNG", background: str = "white") -> bytes:
    image = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(image)
    draw.ellipse((size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4), fill=(200, 30, 40))
    out = BytesIO()
    image.save(out, kind)
    return out.getvalue()


def letter(name: str, shown: Logo | None, profile: Profile) -> Letter:
    document = samples.blank_document()
    return compose(
        document,
        [],
        address_lines=samples.ADDRESS,
        sender=dataclasses.replace(samples.SENDER, name=name, logo=shown),
        reference="2026-VB-000123",
        language="nl",
        duplex=True,
        profile=profile,
        extras=Extras("https://post.voorbeeld.test/verify"),
    )


@pytest.mark.parametrize("name", ["be-right", "be-left", "uk-notify"])
@pytest.mark.parametrize("size", [(1200, 500), (300, 900), (4000, 200), None])
@pytest.mark.parametrize("sender", ["OCMW", LONG, LONG[:90], f"{LONG} {LONG[:60]}"])
def test_no_logo_and_no_name_reaches_what_must_stay_free(sender: str, size: tuple[int, int] | None, name: str) -> None:
    profile = load(name)
    made = letter(sender, None if size is None else Logo(taken_in(picture(size))), profile)
    assert check_letter(made.pdf, sheets=made.sheets, profile=profile, duplex=True).problems == ()


def test_a_logo_stands_on_paper_in_its_own_proportions_and_without_its_white_edges() -> None:
    png = taken_in(picture((1200, 500)))
    shown = Image.open(BytesIO(png))
    # The ellipse is 600 x 250 pixels.
    assert shown.width / shown.height == pytest.approx(2.4, rel=0.02)
    width, height = Logo(png).size
    assert (width / height, height) == (pytest.approx(2.4, rel=0.02), logo.TALLEST)
    assert height * 300 / 25.4 == pytest.approx(shown.height, abs=1)


@pytest.mark.parametrize(("colour", "space"), [(False, "/DeviceGray"), (True, "/DeviceRGB")])
def test_it_is_printed_in_colours_only_where_the_letter_is(*, colour: bool, space: str) -> None:
    made = letter("OCMW", Logo(taken_in(picture()), colour=colour), load())
    with pikepdf.open(BytesIO(made.pdf)) as pdf:
        image = pdf.pages[0].Resources.XObject.Logo
        assert image["/ColorSpace"] == space
        middle = pikepdf.PdfImage(image).as_pil_image().convert("RGB").getpixel((image.Width // 2, image.Height // 2))
    assert (middle == (200, 30, 40)) is colour
    assert colour or len(set(middle)) == 1


def test_letters_share_their_logo_in_a_batch() -> None:
    noise = Image.effect_noise((400, 200), 90).convert("RGB")
    out = BytesIO()
    noise.save(out, "PNG")
    made = letter("OCMW", Logo(taken_in(out.getvalue())), load())
    one, many = BytesIO(), BytesIO()
    merge([batch_letter(1, made)], one, profile=load())
    merge([batch_letter(number, made) for number in range(1, 11)], many, profile=load())
    assert len(many.getvalue()) < 1.5 * len(one.getvalue())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "LOGO_UNREADABLE"),
        (b"%PDF-1.7", "LOGO_UNREADABLE"),
        (picture()[:300], "LOGO_UNREADABLE"),
        (picture(kind="GIF"), "LOGO_UNREADABLE"),
        (bytes((4 << 20) + 1), "LOGO_TOO_LARGE"),
        (picture((5000, 5000)), "LOGO_TOO_LARGE"),
        (picture((40, 40)), "LOGO_TOO_SMALL"),
    ],
    ids=["nothing", "a PDF", "half", "GIF", "bytes", "pixels", "small"],
)
def test_what_can_be_no_logo_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(LogoRefused) as refused:
        taken_in(data)
    assert refused.value.code == code


def test_a_logo_that_paper_does_not_show_is_refused() -> None:
    out = BytesIO()
    Image.new("RGBA", (300, 100), (255, 255, 255, 0)).save(out, "PNG")
    with pytest.raises(LogoRefused, match="LOGO_EMPTY"):
        taken_in(out.getvalue())


def test_a_picture_of_a_camera_lies_as_it_is_seen() -> None:
    lying = Image.new("RGB", (400, 200), (200, 30, 40))
    exif = lying.getexif()
    exif[0x0112] = 6
    out = BytesIO()
    lying.save(out, "JPEG", exif=exif)
    width, height = Logo(taken_in(out.getvalue())).size
    assert width < height
