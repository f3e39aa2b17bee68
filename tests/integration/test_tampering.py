"""A hundred and more tamperings by somebody with every right to database and store, and who finds each."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.embedded.stack import Stack
from tests.tampering_cases import CASES
from tests.tampering_papers import SPLICES, Document
from tests.tampering_rows import Change
from tests.tampering_support import (
    Scene,
    World,
    fsck_finds,
    handed_out,
    keeping,
    pdf_finds,
    scene,
    verifier_finds,
    witness_finds,
    world,
)

Kept = tuple[World, "psycopg.Connection[Any]"]


@pytest.fixture(scope="module")
def kept(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with world(stack, tmp_path_factory.mktemp("world")) as made, keeping(made) as owner:
        yield made, owner


@pytest.fixture
def copied(kept: Kept, tmp_path: Path) -> Iterator[Scene]:
    with scene(*kept, tmp_path) as made:
        yield made


def found_by(copied: Scene) -> str:
    """Who finds something: the witness last, for it lets the log grow."""
    given = copied.world
    found = ""
    for delivery, keys in ((given.old, given.former), (given.digital, given.signer)):
        documents = handed_out(copied, delivery)
        if verifier_finds(copied, documents, keys) or pdf_finds(copied, delivery, documents):
            found = "V"
    difference = fsck_finds(copied)
    return found + ("W" if witness_finds(copied) else "") + ("F" if difference else "")


def test_of_an_untouched_log_nobody_finds_anything(copied: Scene) -> None:
    documents = handed_out(copied, copied.world.digital)
    assert len(documents) >= 4
    assert all(document["proof"] and document["timestamp_token"] for document in documents)
    assert found_by(copied) == ""


def test_the_table_has_a_hundred_and_more() -> None:
    assert len(CASES) + len(SPLICES) >= 100


@pytest.mark.parametrize(("change", "finders"), CASES.values(), ids=CASES.keys())
def test_each_is_found(copied: Scene, change: Change, finders: str) -> None:
    change(copied)
    assert found_by(copied) == finders


@pytest.fixture(scope="module")
def papers(kept: Kept, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, list[Document]]:
    """What is handed out of an untouched log; the last was proved by another checkpoint than the first."""
    with scene(*kept, tmp_path_factory.mktemp("papers")) as made:
        documents = [*handed_out(made, made.world.digital), handed_out(made, made.world.paper)[-1]]
    assert documents[0]["checkpoint"] != documents[-1]["checkpoint"]
    return made, documents


@pytest.mark.parametrize("splice", SPLICES.values(), ids=SPLICES.keys())
def test_each_spliced_paper_is_refused(
    papers: tuple[Scene, list[Document]], splice: Callable[[list[Document]], object]
) -> None:
    untouched, documents = papers
    assert not verifier_finds(untouched, documents, untouched.world.signer)
    changed = copy.deepcopy(documents)
    splice(changed)
    assert verifier_finds(untouched, changed[:1], untouched.world.signer)
