"""How an address gets into the window, what stands above it, and what an address page invites to."""

import hashlib
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from reportlab.pdfgen.canvas import Canvas

from printing.manifest import ManifestLetter, read_manifest
from printing.numbers import NumberRange
from printing.profiles import MM
from service.db.ids import DELIVERY, parse_id
from service.db.jobs import JobKind
from service.printers.wired import Printers
from service.usecases import activation, numbers
from service.usecases.hand_in import Upload
from service.usecases.numbers import NumbersExhausted
from service.usecases.personal import PLATFORM, open_value
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.printing_support import A4, embedded_font, texts_of
from tests.usecase_support import (
    Sender,
    activate,
    change,
    evidence,
    problems,
    reader,
    status,
    waiting,
    with_post,
)

DOCUMENTS = Path(__file__).parents[1] / "documents"
SHOWN = {
    "name": "Wannes Verzonnen-Peeters",
    "street": "Molenweg",
    "number": "8",
    "box": "12",
    "postcode": "9999",
    "municipality": "Voorbeeldegem",
}
LINES = ("De heer Wannes VERZONNEN-PEETERS", "Molenweg 8, bte 12", "9999 Voorbeeldegem")
GS1 = NumberRange(kind="gs1", gtin="05412885004526", prefix="22", first=100, last=101, warn_below=5)
S10 = NumberRange(kind="s10", prefix="RR", country="BE", first=47312482, last=47312482)


def _addressed(*lines: str) -> bytes:
    """A letter of one page with lines in the window of the envelope."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, initialFontName=embedded_font(), invariant=True)  # type: ignore[arg-type]  # the stubs say float
    canvas.setFont(embedded_font(), 11)
    for place, line in enumerate(lines):
        canvas.drawString(92 * MM, A4[1] - (52 + 5 * place) * MM, line)
    canvas.drawString(60, 500, "Beslissing over uw vergunning")
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _hand_in(pipeline: Pipeline, sender: Any, pdf: bytes | None = None, who: str = "jan", **fields: Any) -> str:
    uploads = [] if pdf is None else [Upload("document", "brief.pdf", pdf)]
    return pipeline.hand_in(sender, who, uploads=uploads, **fields).delivery_id


def _print_copy(pipeline: Pipeline, database: TestDatabase, sender: Any, delivery: str) -> bytes:
    key = parse_id(DELIVERY, delivery)
    ((path,),) = execute(database, "SELECT path FROM print_letter WHERE delivery_id = %s", key)
    return pipeline.context.vault.read(path, sender, key, "print-1")


def _with(pipeline: Pipeline, *ranges: NumberRange) -> None:
    (printer,) = pipeline.context.printers.values()
    change(pipeline, printers=Printers([replace(printer, numbers=ranges)]))


def _manifest(pipeline: Pipeline) -> Sequence[ManifestLetter]:
    folder = pipeline.application.settings.print_folder
    found = [read_manifest(BytesIO(file.read_bytes())) for file in sorted(Path(folder).glob("*.ZIP"))]
    return [letter for manifest in found for letter in manifest.letters]


def test_an_address_that_stands_in_the_window_is_kept(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = _hand_in(pipeline, sender, _addressed(*LINES), postal_address=SHOWN, print={"address": "adopt"})
    pipeline.work()
    assert status(pipeline, sender, delivery) == "to_print"
    shown = texts_of(_print_copy(pipeline, database, sender, delivery))
    assert shown[0] == " ".join((*LINES, "Beslissing over uw vergunning"))
    assert execute(database, "SELECT address_mode, registered_number FROM print_letter") == [("adopt", None)]


def test_another_address_in_the_window_is_never_printed(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    other = SHOWN | {"number": "9"}
    delivery = _hand_in(pipeline, sender, _addressed(*LINES), postal_address=other, print={"address": "adopt"})
    pipeline.work()
    assert status(pipeline, sender, delivery) == "undeliverable"
    assert problems(pipeline, sender, delivery)[-1] == "ADDR_DIFFERS"
    assert evidence(pipeline, sender, delivery, "RelayToNonERDSFailure")["reasons"] == ["address_refused"]


def test_a_free_window_gets_the_address_and_where_the_letter_goes_else(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    free = _addressed()
    stamped = _hand_in(pipeline, sender, free, postal_address=SHOWN, print={"address": "stamp"})
    gone = _hand_in(
        pipeline, sender, free, postal_address=SHOWN, print={"address": "stamp", "undeliverable": "destroy"}
    )
    taken = _hand_in(
        pipeline, sender, (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes(), print={"address": "stamp"}
    )
    pipeline.work()
    shown = texts_of(_print_copy(pipeline, database, sender, stamped))
    assert "Molenweg 8 bus 12 9999 Voorbeeldegem" in shown[0]
    assert "Straat 1" in shown[0]
    assert "vernietigen" in texts_of(_print_copy(pipeline, database, sender, gone))[0]
    assert len(shown) == 2
    assert shown[1] == "", "an empty back"
    assert status(pipeline, sender, taken) == "undeliverable"
    assert {"WINDOW_INK", "WINDOW_TEXT"} & set(problems(pipeline, sender, taken))


def test_a_registered_letter_carries_its_number_to_the_print_house(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    _with(pipeline, GS1)
    delivery = _hand_in(pipeline, sender, registered=True, print={"return_receipt": True})
    pipeline.work()
    number = "010541288500452621220000000100"
    assert execute(database, "SELECT registered_number FROM print_letter") == [(number,)]
    shown = texts_of(_print_copy(pipeline, database, sender, delivery))
    assert "RP" in shown[0]
    assert any("Ontvangstbewijs" in page and "(21)220000000100" in page for page in shown)
    assert pipeline.close_batches() == 1
    pipeline.work()
    (letter,) = [each for each in _manifest(pipeline) if each.registered_number == number]
    assert (letter.registered, letter.address_mode) == ("registered", "page")


def test_a_number_that_is_not_left_makes_the_letter_wait_until_there_are_more(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    _with(pipeline, GS1)
    letters = [_hand_in(pipeline, sender, registered=True) for _ in range(3)]
    pipeline.work()
    states = [status(pipeline, sender, each) for each in letters]
    assert sorted(states) == ["sealed", "to_print", "to_print"]
    assert execute(database, "SELECT last_error FROM job WHERE kind = 'letter'") == [("number_range_exhausted",)]
    _with(pipeline, GS1, replace_last(GS1, first=102, last=110))
    pipeline.skew = timedelta(hours=2)
    execute(database, "UPDATE job SET due_at = now(), wanted_at = now() WHERE kind = 'letter'")
    pipeline.work()
    assert [status(pipeline, sender, each) for each in letters] == ["to_print"] * 3
    given = [number for (number,) in execute(database, "SELECT registered_number FROM print_letter")]
    assert len(set(given)) == 3
    assert waiting(database) == []


def replace_last(numbers: NumberRange, *, first: int, last: int) -> NumberRange:
    return NumberRange(kind=numbers.kind, gtin=numbers.gtin, prefix=numbers.prefix, first=first, last=last)


def test_no_number_is_given_twice_however_many_ask_at_once(pipeline: Pipeline) -> None:
    wide = NumberRange(kind="jjbea", prefix="7654321", first=0, last=39)
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: numbers.take(pipeline.context, [wide], "jjbea"), range(40)))
    assert len(set(given)) == 40
    assert None not in given
    with pytest.raises(NumbersExhausted):
        numbers.take(pipeline.context, [wide], "jjbea")
    # The same range configured again, or an earlier part of it, gives nothing anew.
    with pytest.raises(NumbersExhausted):
        numbers.take(pipeline.context, [NumberRange(kind="jjbea", prefix="7654321", first=10, last=20)], "jjbea")
    assert numbers.take(pipeline.context, [], "jjbea") is None


def test_the_reserve_of_each_kind_is_measured(pipeline: Pipeline) -> None:
    ranges = [GS1, S10, NumberRange(kind="s10", prefix="RS", country="BE", first=5, last=9)]
    numbers.take(pipeline.context, ranges, "s10")
    with pipeline.context.database.transaction() as session:
        found = {(each.metric, each.labels["kind"]): each.value for each in numbers.samples(session, ranges)}
    assert found["zending_print_numbers_left", "s10"] == 5
    assert found["zending_print_numbers_left", "gs1"] <= 2
    assert found["zending_print_numbers_reserve", "gs1"] == 5


def test_a_series_never_goes_back(pipeline: Pipeline, database: TestDatabase) -> None:
    numbers.take(pipeline.context, [NumberRange(kind="jjbea", prefix="1111111", first=5, last=9)], "jjbea")
    with pytest.raises(Exception, match="only goes forward"):
        execute(database, "UPDATE print_series SET next = 0 WHERE series LIKE 'jjbea|%%1111111%%'")


def _invited(pipeline: Pipeline, database: TestDatabase, sender: Any, who: str = "an") -> str:
    delivery = _hand_in(pipeline, sender, who=who, postal_address=SHOWN)
    pipeline.work()
    page = texts_of(_print_copy(pipeline, database, sender, delivery))[0]
    words = [word for word in page.replace("\n", " ").split() if word.count("-") == 2 and len(word) == 14]
    assert len(words) == 1, page
    return words[0]


def test_the_code_of_a_letter_confirms_an_activation_once(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    code, who, post = _invited(pipeline, database, sender), reader(pipeline), with_post(pipeline)
    (kept,) = execute(database, "SELECT code_sha256, used_at FROM invitation")
    assert (bytes(kept[0]), kept[1]) == (hashlib.sha256(code.encode()).digest(), None)
    for wrong, other in ((code[:-1] + ("0" if code[-1] != "0" else "1"), who), (code, reader(pipeline, "cem"))):
        with pytest.raises(activation.InvitationWrong) as caught:
            activation.begin(pipeline.context, other, "an@voorbeeld.test", "nl", invitation=wrong)
        assert wrong not in str(caught.value)
    assert post.sent == []
    activation.begin(pipeline.context, who, "an@voorbeeld.test", "nl", invitation=f" {code.lower()} ")
    # It stands in for nothing: the address is confirmed all the same.
    with pytest.raises(activation.CodeWrong):
        activation.confirm(pipeline.context, who, code, consent_version=activation.CONSENT_VERSION)
    activation.confirm(pipeline.context, who, post.code, consent_version=activation.CONSENT_VERSION)
    ((key, proof),) = execute(database, "SELECT id, proof FROM activation WHERE act = 'activated'")
    told = open_value(pipeline.context, bytes(proof), organisation=PLATFORM, place=f"activation.proof:{key}")
    assert b'"by_letter":true' in told
    pipeline.skew = timedelta(minutes=2)
    # A letter that is printed again is the same copy, so its reader is told what its code is.
    with pytest.raises(activation.InvitationOver) as over:
        activation.begin(pipeline.context, who, "an@voorbeeld.test", "nl", invitation=code)
    assert over.value.code == "invitation_over"
    with pytest.raises(activation.InvitationWrong) as stranger:
        activation.begin(pipeline.context, reader(pipeline, "cem"), "an@voorbeeld.test", "nl", invitation=code)
    assert stranger.value.code == "invitation_wrong", "whose it was is nobody else's business"


def test_a_code_ends_with_its_time(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    code, who = _invited(pipeline, database, organisation()), reader(pipeline)
    with_post(pipeline)
    pipeline.skew = timedelta(days=90, minutes=1)
    with pytest.raises(activation.InvitationOver):
        activation.begin(pipeline.context, who, "an@voorbeeld.test", "nl", invitation=code)


def test_nobody_is_invited_who_has_a_mailbox_or_can_have_none(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    _hand_in(pipeline, sender, who="abroad")
    activated = _hand_in(pipeline, sender, who="an", postal_address=SHOWN)
    pipeline.work(JobKind.SEAL, JobKind.ROUTE)
    # It came to be activated after the way of this letter was chosen.
    activate(pipeline, "an")
    pipeline.work()
    assert status(pipeline, sender, activated) == "to_print"
    assert execute(database, "SELECT count(*) FROM print_letter") == [(2,)]
    assert execute(database, "SELECT count(*) FROM invitation") == [(0,)]


def test_a_batch_whose_codes_say_something_else_is_not_handed_over(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    _with(pipeline, GS1)
    _hand_in(pipeline, sender, registered=True)
    pipeline.work()
    execute(database, "UPDATE print_letter SET registered_number = '010541288500452621220000000109'")
    pipeline.close_batches()
    pipeline.work()
    assert execute(database, "SELECT state FROM print_batch") == [("frozen",)]
    folder = Path(pipeline.application.settings.print_folder)
    assert not any("000000109" in zipfile.ZipFile(file).read("manifest.json").decode() for file in folder.glob("*.ZIP"))
