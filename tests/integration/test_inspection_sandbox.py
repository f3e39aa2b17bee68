"""The real helper, its children and their walls: what gets out, and what does not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pikepdf import Name

from service.domain.errors import DocumentRefused
from service.inspection.inspector import Inspector
from service.inspection.limits import MIB
from service.inspection.scanners.base import ScanState
from service.inspection.scanners.none import NoScanner
from tests import inspection_support as made
from tests.inspector_support import LIMITS, childless, opened, refused, status_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def probes() -> Iterator[Inspector]:
    with opened() as inspector:
        yield inspector


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    with Inspector(LIMITS, NoScanner()) as real:
        yield real


# ------------------------------------------------------------------------------------------------------- documents


@pytest.mark.parametrize("path", sorted(made.DOCUMENTS.glob("*.pdf")), ids=lambda path: path.name)
def test_every_stored_document_is_accepted(inspector: Inspector, path: Path) -> None:
    data = path.read_bytes()
    found = inspector.inspect(data)
    assert found.size == len(data)
    assert found.replacement is None
    assert found.scan is ScanState.NOT_SCANNED
    assert all(problem.detail.endswith(".") for problem in found.problems)


def test_further_samples_are_accepted_but_for_two(inspector: Inspector) -> None:
    codes = {}
    # Where there is no folder of further samples beside the checkout there are none to accept.
    samples = sorted(made.SAMPLES.glob("*.pdf"))
    for path in samples:
        try:
            inspector.inspect(path.read_bytes())
        except DocumentRefused as error:
            codes[path.name] = error.code
    refused = {"libreoffice-writer-password.pdf": "encrypted", "libreoffice-form.pdf": "form_values_unseen"}
    assert codes == {name: code for name, code in refused.items() if made.SAMPLES / name in samples}


def test_a_refusal_has_a_code_a_sentence_and_nothing_of_the_document(inspector: Inspector) -> None:
    error = refused(inspector, made.attached("dossier-of-mrs-secret.exe", b"x"))
    assert error.code == "embedded_executable"
    assert error.detail == "A program or script is attached inside this PDF."
    assert "secret" not in repr((error.args, error.context))


def test_a_repaired_file_comes_back_whole(inspector: Inspector) -> None:
    broken = made.without_cross_references((made.DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes())
    found = inspector.inspect(broken)
    assert found.replacement is not None
    assert found.size == len(found.replacement)
    assert found.problems[0].code == "repaired"
    assert inspector.inspect(found.replacement).replacement is None


def test_a_file_over_the_limit_is_refused_before_it_is_read(inspector: Inspector) -> None:
    assert refused(inspector, bytes(LIMITS.size + 1)).code == "too_large"


@pytest.mark.parametrize(
    "document",
    [
        made.with_stream(made.deflated_zeros(1024 * MIB), Filter=Name.FlateDecode),
        made.looping_pages(),
        made.looping_cross_references(),
        made.nested(2_000_000),
        b"%PDF-1.7\n" + b"<<" * 5_000_000,
        b"%PDF-1.7\n" + os.urandom(2 * MIB),
    ],
    ids=["bomb", "page loop", "cross-reference loop", "nesting", "open ends", "noise"],
)
def test_a_hostile_document_ends_and_the_next_one_is_read(inspector: Inspector, document: bytes) -> None:
    before = inspector.helper_pid
    try:
        inspector.inspect(document)
    except DocumentRefused as error:
        assert error.code  # noqa: PT017 - some of them are repaired
    assert inspector.inspect(made.document()).pages == 1
    assert inspector.helper_pid == before


# ------------------------------------------------------------------------------------------------------------ walls


@pytest.mark.parametrize("attempt", made.ATTEMPTS)
def test_a_child_that_was_taken_over_cannot(probes: Inspector, attempt: str) -> None:
    number = probes.inspect(f"probe:try_{attempt}".encode()).pages - 1
    assert number != 0


def test_the_attempts_would_work_without_the_walls(tmp_path: Path) -> None:
    program = (
        "from tests.inspection_support import ATTEMPTS\n"
        "names = ('socket', 'unix_socket', 'socketpair', 'open_to_read', 'list_folder', 'memfd', 'thread')\n"
        "assert [ATTEMPTS[name]() for name in names] == [0] * len(names)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_the_walls_are_proven_at_the_start(inspector: Inspector) -> None:
    walls = inspector.walls
    assert walls.walls_hold
    assert walls.unprivileged
    helper = status_of(inspector.helper_pid)
    assert helper["NoNewPrivs"] == "1"
    assert set(helper["Uid"].split()) != {"0"}
    if os.geteuid() == 0:
        assert set(helper["Uid"].split()) == {"65534"}
        assert int(helper["CapEff"], 16) == 0


def test_a_child_sees_neither_our_environment_nor_our_files(probes: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probes.inspect(b"probe:environment").pages - 1 <= 5
    assert probes.inspect(b"probe:descriptors").pages - 1 == 5
    monkeypatch.setenv("A_PASSWORD", "x")
    with opened() as fresh:
        assert fresh.inspect(b"probe:environment").pages - 1 <= 5


def test_every_document_has_a_child_of_its_own(probes: Inspector) -> None:
    assert len({probes.inspect(b"probe:pid").pages for _ in range(3)}) == 3


def test_a_child_runs_nothing_that_modules_ask_to_have_run_after_a_fork(probes: Inspector) -> None:
    # `random` would begin anew in each.
    assert len({probes.inspect(b"probe:random").pages for _ in range(3)}) == 1


@pytest.mark.parametrize("probe", ["crash", "abort", "error", "flood"])
def test_a_crash_is_a_refusal(probes: Inspector, probe: str) -> None:
    before = probes.helper_pid
    assert refused(probes, f"probe:{probe}".encode()).code == "inspection_crashed"
    assert probes.helper_pid == before


@pytest.mark.parametrize("probe", sorted(name for name in made.PROBES if name.startswith("say_")))
def test_an_answer_no_honest_child_gives_is_a_crash(probes: Inspector, probe: str) -> None:
    error = refused(probes, f"probe:{probe}".encode())
    assert error.code == "inspection_crashed"
    assert error.detail == "This PDF could not be checked: reading it made the checking program fail."


def test_a_child_gets_only_so_much_of_a_processor() -> None:
    with opened(replace(LIMITS, processor=1)) as inspector:
        before = inspector.helper_pid
        assert refused(inspector, b"probe:spin").code == "inspection_timeout"
        assert inspector.helper_pid == before
        assert childless(before)


def test_a_child_gets_only_so_much_memory() -> None:
    with opened(replace(LIMITS, address_space=400 * MIB)) as inspector:
        assert refused(inspector, b"probe:memory").code == "inspection_memory"


def test_an_ordinary_document_needs_a_fraction_of_the_memory() -> None:
    with opened(replace(LIMITS, address_space=256 * MIB)) as inspector:
        assert inspector.inspect((made.DOCUMENTS / "report-60-pages-nl.pdf").read_bytes()).pages == 60
