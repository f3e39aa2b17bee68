"""PDF/A-3a and PDF/UA-1, which evidence pages claim, held against what programs can judge; sealed and not."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name

from service.domain.evidence import EvidenceEvent
from service.usecases.evidence_page.wording import LANGUAGES
from signing.seal import Sealer
from tests.evidence_page_support import evidence, page_of
from tests.pdfa_support import faults
from tests.signing_support import InProcessAuthority, now, outside, seal_key
from tests.structure_support import structure_faults

EVENTS = list(EvidenceEvent)


@pytest.mark.parametrize("number", range(len(EVENTS)), ids=[event.value for event in EVENTS])
def test_every_page_is_tagged_through_and_through(number: int) -> None:
    language = LANGUAGES[number % len(LANGUAGES)]
    assert structure_faults(page_of(evidence(EVENTS[number]), language)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_seal_takes_nothing_away(language: str, tmp_path: Path) -> None:
    page = page_of(evidence(EvidenceEvent.RECEIVED_FROM_NON_ERDS), language)
    sealed = Sealer(seal_key(), InProcessAuthority()).seal(page, at=now())
    assert faults(page, sealed, part=3) == []
    assert structure_faults(sealed) == []
    file = tmp_path / "sealed.pdf"
    file.write_bytes(sealed)
    assert "No syntax or stream encoding errors found" in outside("qpdf", "--check", file).stdout


def _heading(pdf: pikepdf.Pdf) -> Any:
    return next(each for each in pdf.objects if isinstance(each, Dictionary) and each.get("/S") == Name.H2)


def _table_header(pdf: pikepdf.Pdf) -> Any:
    return next(each for each in pdf.objects if isinstance(each, Dictionary) and each.get("/S") == Name.TH)


def _painted(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].contents_add(b"0 0 100 100 re f")


def _link(pdf: pikepdf.Pdf) -> None:
    link = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=Array([0, 0, 9, 9]))
    pdf.pages[0].obj.Annots = Array([pdf.make_indirect(link)])


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (lambda pdf: pdf.Root.__delitem__("/Lang"), "7.2"),
        (lambda pdf: pdf.Root.__delitem__("/MarkInfo"), "6.2"),
        (lambda pdf: pdf.Root.ViewerPreferences.__setitem__("/DisplayDocTitle", False), "7.1"),
        (lambda pdf: pdf.Root.AF[0].__delitem__("/AFRelationship"), "7.11"),
        (_painted, "7.1"),
        (lambda pdf: pdf.pages[0].obj.__delitem__("/StructParents"), "7.1"),
        (lambda pdf: _heading(pdf).__setitem__("/S", Name.H5), "7.4"),
        (lambda pdf: _heading(pdf).__setitem__("/S", Name.Ornament), "7.1"),
        (lambda pdf: _heading(pdf).__setitem__("/S", Name.Figure), "7.3"),
        (lambda pdf: _table_header(pdf).__delitem__("/A"), "7.5"),
        (_link, "7.18"),
    ],
)
def test_the_judge_of_tags_finds_what_is_wrong(change: Callable[[pikepdf.Pdf], object], clause: str) -> None:
    with pikepdf.open(io.BytesIO(page_of(evidence()))) as pdf:
        change(pdf)
        out = io.BytesIO()
        pdf.save(out)
    assert any(fault.startswith(f"{clause}:") for fault in structure_faults(out.getvalue()))
