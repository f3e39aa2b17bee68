"""What nobody could sign or seal is refused before anybody is asked to sign it."""

import dataclasses
import io
import uuid

import pikepdf
import pytest

from service.domain.errors import DocumentRefused
from service.usecases.signatures import sender
from signing.appearance import InField
from signing.errors import KeyUnavailable, Unsealable
from signing.prepared import check_signable
from signing.seal import Sealer
from signing.trust import load_certificates
from signing.validate import Verdict, validate
from tests.appearance_support import appearance
from tests.pipeline_support import Pipeline
from tests.signatures_support import PDF, SEAL, ask, document, person, seen, sign
from tests.signing_support import now, seal_key

KEY_FILES = {"key": "key", "certificate": "cert", "chain": "chain"}


@pytest.fixture
def agency(pipeline: Pipeline) -> uuid.UUID:
    return pipeline.organisation()


def locked(*, signed: bool) -> bytes:
    """A PDF whose author allows no change, by a signature as it should be, or by one that lacks its byte range."""
    with pikepdf.open(io.BytesIO(PDF)) as opened:
        parameters = pikepdf.Dictionary(Type=pikepdf.Name.TransformParams, P=1, V=pikepdf.Name("/1.2"))
        reference = pikepdf.Dictionary(
            Type=pikepdf.Name.SigRef, TransformMethod=pikepdf.Name.DocMDP, TransformParams=parameters
        )
        signature = pikepdf.Dictionary(Type=pikepdf.Name.Sig, Reference=pikepdf.Array([reference]))
        if signed:
            signature.Contents, signature.ByteRange = pikepdf.String(b"\x30\x00"), pikepdf.Array([0, 1, 2, 3])
        opened.Root.Perms = pikepdf.Dictionary(DocMDP=opened.make_indirect(signature))
        made = io.BytesIO()
        opened.save(made)
    return made.getvalue()


def encrypted(revision: int) -> bytes:
    with pikepdf.open(io.BytesIO(PDF)) as opened:
        made = io.BytesIO()
        opened.save(made, encryption=pikepdf.Encryption(owner="o", user="", R=revision))
    return made.getvalue()


REFUSED = {
    "encrypted": (encrypted(4), "encrypted"),
    # AES-256: its reader looks for random numbers, which there are none of behind the walls.
    "encrypted as of PDF 2.0": (encrypted(6), "encrypted"),
    "certified": (locked(signed=True), "certified_no_changes"),
    # The inspection sees no signature in it; signing would see what it forbids.
    "certified without a byte range": (locked(signed=False), "pdf_certified_no_changes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_never_be_signed_is_refused_when_it_is_asked_for(
    pipeline: Pipeline, agency: uuid.UUID, case: str
) -> None:
    pdf, code = REFUSED[case]
    with pytest.raises(Unsealable):
        check_signable(pdf, at=now())
    with pytest.raises(DocumentRefused) as caught:
        ask(pipeline, agency, pdf=pdf, key="k")
    assert caught.value.code == code
    assert [(each.pointer, each.code) for each in caught.value.errors] == [("/document", code)]
    assert sender.list_page(pipeline.context, agency, state=None, cursor=None, limit=1).items == []
    # Nobody was told, and the key is free for a document that can be signed.
    assert ask(pipeline, agency, key="k")


def test_what_the_seal_would_refuse_in_the_end_is_refused_at_once(pipeline: Pipeline, agency: uuid.UUID) -> None:
    sealer = Sealer(seal_key(), None, appearance=appearance(place=InField("Zegel"), check_address=None))
    pipeline.context = dataclasses.replace(pipeline.context, sealer=lambda _: sealer)
    with pytest.raises(DocumentRefused) as caught:
        ask(pipeline, agency)
    assert caught.value.code == "pdf_field_unusable"


def test_a_key_that_is_away_keeps_nobody_from_asking(pipeline: Pipeline, agency: uuid.UUID) -> None:
    def away(_: object) -> Sealer:
        raise KeyUnavailable("away")

    pipeline.context = dataclasses.replace(pipeline.context, sealer=away)
    assert ask(pipeline, agency)


def test_a_profile_that_certifies_does_not_certify_among_people(pipeline: Pipeline) -> None:
    slug = "certifies"
    agency = pipeline.organisation(slug)
    names = "".join(f'{part} = "{slug}.{short}.pem"\n' for part, short in KEY_FILES.items())
    profile = pipeline.application.settings.keys_folder / "seals" / f"{slug}.toml"
    profile.write_text(f'certify = "no-changes"\n[key]\nprovider = "pem"\n{names}', encoding="utf-8")
    request = ask(pipeline, agency, [SEAL, person()])
    pipeline.work()
    sign(pipeline, request)
    pipeline.work()
    assert seen(pipeline, agency, request).state == "completed"
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    report = validate(document(pipeline, agency, request), trust_roots=roots, at=pipeline.now)
    assert [each.verdict for each in report.signatures] == [Verdict.VALID] * 3
