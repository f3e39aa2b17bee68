"""An organisation's logo: taken in by a command, shown on the address pages of its letters alone."""

import uuid
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
import zxingcpp
from click.testing import CliRunner
from PIL import Image, ImageDraw

from service.bootstrap import Application
from service.cli.main import zending
from service.db.ids import DELIVERY, parse_id
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import deliver


@pytest.fixture
def command(application: Application, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr("service.settings.settings", lambda: application.settings)
    return lambda *arguments: CliRunner().invoke(zending, ["organisations", "logo", *map(str, arguments)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    image = Image.new("RGB", (400, 200), "white")
    ImageDraw.Draw(image).ellipse((50, 50, 350, 150), fill=(200, 30, 40))
    image.save(tmp_path / "logo.png")
    return tmp_path / "logo.png"


def logos(pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase, **print_options: object) -> list[str]:
    """The colour spaces of the logos on a new letter's pages."""
    delivery = deliver(pipeline, sender, "jan", **({"print": print_options} if print_options else {}))
    key = parse_id(DELIVERY, delivery)
    ((path,),) = execute(database, "SELECT path FROM print_letter WHERE delivery_id = %s", key)
    content = pipeline.context.vault.read(path, sender, key, "print-1")
    with pikepdf.open(BytesIO(content)) as pdf:
        shown = [page.Resources.get("/XObject", {}).get("/Logo") for page in pdf.pages]
        return [str(each.ColorSpace) for each in shown if each is not None]


def test_the_address_pages_of_one_organisation_show_its_logo(
    pipeline: Pipeline, database: TestDatabase, command: Callable[..., Any], file: Path
) -> None:
    slug = f"logo-{uuid.uuid4().hex[:8]}"
    sender, other = pipeline.organisation(slug), pipeline.organisation()
    assert logos(pipeline, sender, database) == []
    done = command(slug, file)
    assert (done.exit_code, done.output) == (0, f"Letters of {slug} show this logo from now on.\n")
    assert logos(pipeline, sender, database) == ["/DeviceGray"]
    assert logos(pipeline, sender, database, colour=True) == ["/DeviceRGB"]
    assert logos(pipeline, other, database) == []
    assert command(slug, "--remove").exit_code == 0
    assert logos(pipeline, sender, database) == []
    trail = execute(database, "SELECT details->>'logo' FROM audit_entry WHERE act = 'organisation.logo' ORDER BY at")
    assert [row[0] for row in trail] == ["changed", "removed"]


def test_a_letter_with_it_can_be_looked_at_before(
    pipeline: Pipeline, database: TestDatabase, command: Callable[..., Any], file: Path, tmp_path: Path
) -> None:
    slug = f"logo-{uuid.uuid4().hex[:8]}"
    sender = pipeline.organisation(slug)
    done = command(slug, file, "--try", tmp_path / "letter.pdf")
    assert (done.exit_code, "nothing is changed" in done.output) == (0, True)
    with pikepdf.open(tmp_path / "letter.pdf") as pdf:
        assert "/Logo" in pdf.pages[0].Resources.XObject
    assert logos(pipeline, sender, database) == []


def test_a_file_that_can_be_no_logo_is_refused_in_a_sentence(
    pipeline: Pipeline, command: Callable[..., Any], file: Path, tmp_path: Path
) -> None:
    slug = f"logo-{uuid.uuid4().hex[:8]}"
    pipeline.organisation(slug)
    (tmp_path / "text.png").write_text("no picture")
    matrix = zxingcpp.create_barcode("123456789012345678", zxingcpp.BarcodeFormat.Code128)
    Image.fromarray(zxingcpp.write_barcode_to_image(matrix, scale=4)).save(tmp_path / "code.png")
    for arguments, words in [
        ((slug, tmp_path / "text.png"), "The file is no PNG or JPEG that can be read. (LOGO_UNREADABLE)"),
        ((slug, tmp_path / "code.png"), "(MARK_IN_CONTENT)"),
        (("nobody", file), "There is no organisation nobody."),
        ((slug,), "give the file of the logo, or --remove."),
        ((slug, file, "--remove"), "give the file of the logo, or --remove."),
    ]:
        refused = command(*arguments)
        assert (refused.exit_code != 0, words in refused.output) == (True, True), refused.output
