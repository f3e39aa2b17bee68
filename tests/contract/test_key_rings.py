"""What every key ring must do; a new driver is added to `ring` and must pass all of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from service.vault.errors import KeyDestroyed, KeyRingUnusable, KeyUnknown
from service.vault.keyring.base import CACHE_MAX_AGE_SECONDS, IndexKeys, KeyRing
from service.vault.keyring.file import FileKeyRing
from tests.vault_support import ORGANISATION, OTHER_ORGANISATION, Clock


@dataclass
class Ring:
    """One key ring: each `open` is what another process would have of it; `source` opens it in a real one."""

    open: Callable[[], KeyRing]
    source: str
    clock: Clock


@pytest.fixture(params=["file"])
def ring(request: pytest.FixtureRequest, tmp_path: Path) -> Ring:
    folder = tmp_path / "keys"
    clock = Clock()
    source = f"""
from pathlib import Path
from service.vault.keyring.file import FileKeyRing
ring = FileKeyRing(Path({str(folder)!r}))
"""
    return Ring(lambda: FileKeyRing(folder, clock=clock), source, clock)


def test_a_key_is_the_same_each_time_and_for_all(ring: Ring) -> None:
    here, there = ring.open(), ring.open()
    key = here.wrap_key(ORGANISATION, 2031)
    assert here.wrap_key(ORGANISATION, 2031) == key
    assert there.wrap_key(ORGANISATION, 2031) == key
    assert ring.open().key(key.id) == key
    assert len(key.material) == 32


def test_each_organisation_and_each_year_has_its_own_key(ring: Ring) -> None:
    here = ring.open()
    keys = [here.wrap_key(who, year) for who in (ORGANISATION, OTHER_ORGANISATION) for year in (2031, 2032)]
    assert len({key.id for key in keys}) == len({key.material for key in keys}) == 4


@pytest.mark.parametrize("key_id", ["", "a" * 16, "index", "../../etc/passwd", "a/b", "é" * 16, "x" * 255, "\x00"])
def test_an_unknown_key_is_told_from_a_destroyed_one(ring: Ring, key_id: str) -> None:
    here = ring.open()
    here.wrap_key(ORGANISATION, 2031)
    with pytest.raises(KeyUnknown):
        here.key(key_id)
    with pytest.raises(KeyUnknown):
        here.destroy(key_id)


def test_a_destroyed_key_is_gone_for_everybody(ring: Ring) -> None:
    here = ring.open()
    key = here.wrap_key(ORGANISATION, 2031)
    other = here.wrap_key(ORGANISATION, 2032)
    here.destroy(key.id)
    for view in (here, ring.open()):
        with pytest.raises(KeyDestroyed):
            view.key(key.id)
        with pytest.raises(KeyDestroyed):
            view.wrap_key(ORGANISATION, 2031)
        assert view.key(other.id) == other


def test_destroying_twice_does_no_harm(ring: Ring) -> None:
    here = ring.open()
    key = here.wrap_key(ORGANISATION, 2031)
    here.destroy(key.id)
    here.destroy(key.id)
    ring.open().destroy(key.id)
    with pytest.raises(KeyDestroyed):
        here.key(key.id)


def test_other_processes_notice_a_destruction_within_the_promised_time(ring: Ring) -> None:
    here, there = ring.open(), ring.open()
    key = here.wrap_key(ORGANISATION, 2031)
    there.wrap_key(ORGANISATION, 2031)
    here.destroy(key.id)
    ring.clock.now += CACHE_MAX_AGE_SECONDS
    with pytest.raises(KeyDestroyed):
        there.key(key.id)
    with pytest.raises(KeyDestroyed):
        there.wrap_key(ORGANISATION, 2031)


def test_frequent_use_does_not_prolong_a_copy(ring: Ring) -> None:
    here, there = ring.open(), ring.open()
    key = there.wrap_key(ORGANISATION, 2031)
    ring.clock.now += CACHE_MAX_AGE_SECONDS / 2
    there.key(key.id)
    here.destroy(key.id)
    ring.clock.now += CACHE_MAX_AGE_SECONDS / 2
    with pytest.raises(KeyDestroyed):
        there.key(key.id)


def test_a_rotated_key_closes_anew_and_the_old_one_still_opens(ring: Ring) -> None:
    here, there = ring.open(), ring.open()
    old = here.wrap_key(ORGANISATION, 2031)
    there.wrap_key(ORGANISATION, 2031)
    new = here.rotate(ORGANISATION, 2031)
    assert new.id != old.id
    assert new.material != old.material
    assert here.wrap_key(ORGANISATION, 2031) == new
    assert here.key(old.id) == old
    ring.clock.now += CACHE_MAX_AGE_SECONDS
    assert there.wrap_key(ORGANISATION, 2031) == new


def test_destroying_a_former_generation_leaves_the_newest(ring: Ring) -> None:
    here = ring.open()
    old = here.wrap_key(ORGANISATION, 2031)
    new = here.rotate(ORGANISATION, 2031)
    here.destroy(old.id)
    assert ring.open().wrap_key(ORGANISATION, 2031) == new
    with pytest.raises(KeyDestroyed):
        here.key(old.id)


def test_a_year_is_destroyed_with_all_its_generations_and_no_other(ring: Ring) -> None:
    here = ring.open()
    line = [here.wrap_key(ORGANISATION, 2031), here.rotate(ORGANISATION, 2031), here.rotate(ORGANISATION, 2031)]
    others = [here.wrap_key(ORGANISATION, 2032), here.wrap_key(OTHER_ORGANISATION, 2031)]
    here.destroy(line[1].id)
    here.destroy_year(ORGANISATION, 2031)
    here.destroy_year(ORGANISATION, 2031)
    here.destroy_year(ORGANISATION, 2040)
    for view in (here, ring.open()):
        for key in line:
            with pytest.raises(KeyDestroyed):
                view.key(key.id)
        assert [view.key(key.id) for key in others] == others
    with pytest.raises(KeyDestroyed):
        ring.open().wrap_key(ORGANISATION, 2031)


def test_rotation_opens_a_destroyed_year_again(ring: Ring) -> None:
    here = ring.open()
    old = here.wrap_key(ORGANISATION, 2031)
    here.destroy(old.id)
    new = here.rotate(ORGANISATION, 2031)
    assert ring.open().wrap_key(ORGANISATION, 2031) == new
    with pytest.raises(KeyDestroyed):
        ring.open().key(old.id)


def test_a_first_rotation_makes_a_key(ring: Ring) -> None:
    key = ring.open().rotate(ORGANISATION, 2031)
    assert ring.open().wrap_key(ORGANISATION, 2031) == key


def test_the_index_key_is_one_for_all(ring: Ring) -> None:
    keys = ring.open().index_keys()
    assert keys == ring.open().index_keys()
    assert len(keys.writing) == 32
    assert keys.others == ()


def test_the_index_key_is_exchanged_in_three_stages_and_the_former_one_stays_dead(ring: Ring) -> None:
    first = ring.open().index_keys().writing
    ring.open().begin_index()
    begun = ring.open().index_keys()
    assert begun.writing == first
    assert begun.next not in (None, first)
    ring.open().promote_index()
    promoted = ring.open().index_keys()
    assert (promoted.writing, promoted.next, promoted.former) == (begun.next, None, first)
    ring.open().retire_index()
    assert ring.open().index_keys() == IndexKeys(promoted.writing)
    # And once more: nothing of the first exchange stands in the way.
    ring.open().begin_index()
    ring.open().promote_index()
    assert ring.open().index_keys().former == promoted.writing


def test_stages_of_the_exchange_come_in_their_order(ring: Ring) -> None:
    here = ring.open()
    for early in (here.promote_index, here.retire_index):
        with pytest.raises(KeyRingUnusable):
            early()
    here.begin_index()
    for early in (here.begin_index, here.retire_index):
        with pytest.raises(KeyRingUnusable):
            early()
    here.promote_index()
    for wrong in (here.begin_index, here.promote_index):
        with pytest.raises(KeyRingUnusable):
            wrong()
    assert repr(ring.open().index_keys()) == "IndexKeys()"


def test_no_key_shows_its_material(ring: Ring) -> None:
    key = ring.open().wrap_key(ORGANISATION, 2031)
    key.cipher(b"purpose")
    assert repr(key) == f"KeyEncryptionKey(id={key.id!r})"


def test_threads_that_race_for_a_first_key_get_the_same(ring: Ring) -> None:
    rings = [ring.open() for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        for number in range(20):
            organisation = UUID(int=number + 1)
            keys = threads.map(lambda view, who=organisation: view.wrap_key(who, 2031), rings * 2)
            assert len({key.material for key in keys}) == 1


def test_processes_that_race_for_a_first_key_get_the_same(ring: Ring, tmp_path: Path) -> None:
    start = tmp_path / "start"
    program = f"""
import sys, time
from pathlib import Path
from uuid import UUID
print("ready", flush=True)
while not Path({str(start)!r}).exists():
    time.sleep(0.0005)
{ring.source}
for number in range(1, 41):
    print(ring.wrap_key(UUID(int=number), 2031).material.hex())
print(ring.index_keys().writing.hex())
"""
    processes = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    time.sleep(0.01)
    start.touch()
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert len(answers) == 1
    assert len(set(answers.pop().split())) == 41


def test_every_key_that_was_made_is_listed_with_its_state(ring: Ring) -> None:
    here = ring.open()
    first = here.wrap_key(ORGANISATION, 2031)
    second = here.rotate(ORGANISATION, 2031)
    other = here.wrap_key(OTHER_ORGANISATION, 2031)
    assert [each.id for each in here.line(ORGANISATION, 2031)] == [first.id, second.id]
    here.destroy(first.id)
    states = {each.id: (each.state, each.organisation, each.generation) for each in ring.open().listing()}
    assert states == {
        first.id: ("destroyed", None, None),
        second.id: ("usable", ORGANISATION, 2),
        other.id: ("usable", OTHER_ORGANISATION, 1),
    }
