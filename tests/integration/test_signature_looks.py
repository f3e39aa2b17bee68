"""What can be seen of people's signatures: each in the place that was kept for it, and nobody's counts as a change."""

import os
import uuid
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest

from service.usecases.signatures.looks import field, shown_name, with_places, writer
from signing.appearance.words import Language
from signing.prepared import prepare
from signing.trust import load_certificates
from signing.validate import Verdict, validate
from tests.appearance_support import difference, page
from tests.pipeline_support import Pipeline
from tests.signatures_support import PDF, SEAL, ask, card_of, document, person, seen, sign
from tests.signing_support import outside, seal_key

DOCUMENTS = Path(__file__).parents[1] / "documents"
PICTURES = "ZENDING_SCREENSHOTS"
"""Environment variable: a folder where the results are kept, for people to look at."""


@pytest.fixture
def agency(pipeline: Pipeline) -> uuid.UUID:
    return pipeline.organisation()


def places(pdf: bytes) -> dict[str, list[float]]:
    """The fields that can be seen, with their sides."""
    with pikepdf.open(BytesIO(pdf)) as opened:
        fields = opened.Root.AcroForm.Fields if "/AcroForm" in opened.Root else ()
        found = {str(each.T): [float(side) for side in each.Rect] for each in fields}
    return {name: box for name, box in found.items() if box[0] < box[2] and box[1] < box[3]}


def read(pdf: bytes, folder: Path) -> str:
    file = folder / "read.pdf"
    file.write_bytes(pdf)
    return outside("pdftotext", "-layout", file, "-").stdout


def test_everybody_signs_where_a_place_was_kept(pipeline: Pipeline, agency: uuid.UUID, tmp_path: Path) -> None:
    # The second one signs first, and the organisation's seal is nobody's place.
    request = ask(pipeline, agency, [person(), person("cem"), SEAL], order="parallel", language="fr")
    kept = document(pipeline, agency, request)
    assert kept.startswith(PDF)
    first, second = places(kept).items()
    assert (first[0], second[0]) == (f"{request}-1", f"{request}-2")
    assert difference(PDF, kept) is None, "an empty place can't be seen"
    sign(pipeline, request, "cem", card_of(pipeline, "cem"))
    once = document(pipeline, agency, request)
    assert read(once, tmp_path).count("Signé électroniquement par") == 1
    sign(pipeline, request)
    pipeline.work()
    assert seen(pipeline, agency, request).state == "completed"
    result = document(pipeline, agency, request)
    assert places(result) == places(kept)
    said = read(result, tmp_path)
    assert said.count("Signé électroniquement par") == 2
    assert said.count("An Peeters") == 2
    assert "(Signature)" not in said
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    report = validate(result, trust_roots=roots, at=pipeline.now)
    assert [each.verdict for each in report.signatures] == [Verdict.VALID] * 4
    file = tmp_path / "result.pdf"
    file.write_bytes(result)
    assert outside("pdfsig", "-nocert", file).stdout.count("Signature is Valid.") == 4
    assert outside("qpdf", "--check", file).returncode == 0
    if folder := os.environ.get(PICTURES):
        Path(folder, "signed-by-two.pdf").write_bytes(result)


def test_a_document_that_was_signed_before_is_left_as_it_is(pipeline: Pipeline, agency: uuid.UUID) -> None:
    before = (DOCUMENTS / "signed-nl.pdf").read_bytes()
    request = ask(pipeline, agency, pdf=before)
    assert document(pipeline, agency, request) == before
    sign(pipeline, request)
    pipeline.work()
    assert seen(pipeline, agency, request).state == "completed"
    result = document(pipeline, agency, request)
    assert places(result) == places(before)
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    report = validate(result, trust_roots=roots, at=pipeline.now)
    assert [each.verdict for each in report.signatures[-2:]] == [Verdict.VALID] * 2


def test_where_a_page_is_full_people_sign_all_the_same(pipeline: Pipeline, agency: uuid.UUID) -> None:
    full = page(text_to=0)
    request = ask(pipeline, agency, pdf=full)
    assert places(document(pipeline, agency, request)) == {}
    assert sign(pipeline, request).state == "signed"


@pytest.mark.parametrize(
    ("language", "name"), [("nl", "Ελένη Παπαδοπούλου"), ("de", "Олена Шевченко"), ("en", "Zoë Łukasz-Dvořák")]
)
def test_names_are_shown_in_their_own_letters(language: Language, name: str, tmp_path: Path) -> None:
    request, key, now = uuid.uuid4(), seal_key(), datetime.now(UTC)
    pdf = with_places(page(text_to=400), request, language, {1: name}, at=now)
    made = prepare(
        pdf,
        key.certificate,
        key.mechanism,
        purpose="test",
        at=now,
        lasts=timedelta(minutes=15),
        writer=writer(language, name),
        name=name,
        field=field(request, 1),
    )
    assert name in read(pdf + made.update, tmp_path)


def test_the_name_is_the_certificates_without_what_the_card_adds() -> None:
    assert shown_name("An Peeters (Signature)") == "An Peeters"
    assert shown_name("An (Signature) Peeters") == "An (Signature) Peeters"
