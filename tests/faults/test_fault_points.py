"""Every call that leaves a process is seen and can be hurt; a few are, and everything comes to its one right end.

``python -m bench.faults`` does the same with thousands.
"""

import itertools
import multiprocessing
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.boundaries import Fault, Moment, Watch
from bench.faults import Campaign, Catalogue, Tally
from bench.wishes import Run
from bench.world import scanner, world
from service.embedded.stack import Stack
from tests.boundary_support import Seen, live_counted

pytestmark = pytest.mark.faults

BOUNDARIES = {"database", "disk", "store", "broker", "authority", "mail", "provider", "scanner", "helper"}
# What a fault must be survived at above all: where something is promised, or becomes true, or leaves for good.
CHOSEN = (
    ("database.commit@service.usecases.hand_in", Moment.LOST),
    ("database.commit@service.usecases.hand_in", Moment.DIES),
    ("database.commit@service.engine.steps._settle", Moment.LOST),
    ("database.commit@service.channels.internal.InternalChannel.deposit", Moment.DIES),
    ("store.put_many@service.vault.vault.Vault.write_many<service.usecases.rewriting", Moment.HALF),
    ("provider.publish", Moment.LOST),
    ("disk.rename@printing.providers", Moment.DIES),
    ("mail.sendall", Moment.LOST),
    ("authority.sendall", Moment.BEFORE),
    ("database.commit@service.ledger.sequencer.publish", Moment.LOST),
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with scanner() as found:
        yield found


@pytest.fixture(scope="module")
def campaign(stack: Stack, port: int, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return Campaign(tmp_path_factory.mktemp("worlds"), stack, port)


@pytest.fixture(scope="module")
def seen(stack: Stack, port: int, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with world(stack, port, tmp_path_factory.mktemp("counted"), broker=15) as place:
        process = context.Process(target=live_counted, args=(place, theirs))
        process.start()
        theirs.close()
        try:
            found = ours.recv()
        finally:
            ours.close()
            process.join()
    assert isinstance(found, Seen)
    return found


def test_a_life_without_a_fault_ends_well_and_comes_by_every_boundary(seen: Seen) -> None:
    assert seen.run.faults == []
    assert {point.partition(".")[0] for point in seen.run.counts} == BOUNDARIES


def test_every_message_to_the_database_was_seen(seen: Seen) -> None:
    def counted(act: str) -> int:
        return sum(count for point, count in seen.run.counts.items() if point.startswith(f"database.{act}@"))

    assert seen.traced["Execute"] + seen.traced["Query"] == seen.statements
    assert seen.traced["COMMIT"] == counted("commit")
    assert seen.traced["ROLLBACK"] == counted("rollback")
    assert seen.statements > 500


def test_nothing_changes_a_disk_or_connects_without_being_seen(seen: Seen) -> None:
    assert seen.escaped == []


def test_a_few_faults_lose_nothing_and_double_nothing(campaign: Campaign) -> None:
    catalogue = campaign.record()
    chance = random.Random(20261124)
    faults = []
    for beginning, moment in CHOSEN:
        points = sorted(point for point in catalogue.counts if point.startswith(beginning))
        assert points, f"nothing is called {beginning} any more: choose what stands for it now"
        point = chance.choice(points)
        faults.append(Fault(point, chance.randint(1, catalogue.counts[point]), moment))
    tally = Tally()

    def again() -> Iterator[Fault]:
        """A life that comes by a point less often than those of the catalogue comes by it once."""
        for fault in sorted(faults, key=lambda fault: fault.point in tally.places):
            yield Fault(fault.point, 1, fault.moment)

    campaign.hurt(itertools.chain(faults, again()), tally, until=len(faults), jobs=1)
    assert tally.anomalies == []
    assert sum(tally.struck.values()) == len(faults)


def test_the_catalogue_gives_each_point_with_each_moment_before_any_again() -> None:
    catalogue = Catalogue({"a.b@c": 3, "d.e@f": 1}, frozenset({"a.b@c"}))
    faults = catalogue.faults(random.Random(1), {})
    first = [next(faults) for _ in range(7)]
    assert {(fault.point, fault.moment) for fault in first} == {
        *((point, moment) for point in catalogue.counts for moment in Moment if moment is not Moment.HALF),
        ("a.b@c", Moment.HALF),
    }
    assert all(1 <= fault.number <= catalogue.counts[fault.point] for fault in first)
    again = catalogue.faults(random.Random(1), {})
    assert first == [next(again) for _ in range(7)]


def test_what_earlier_starts_did_is_counted_and_waits_for_the_others(tmp_path: Path) -> None:
    catalogue = Catalogue({"a.b@c": 3, "d.e@f": 1}, frozenset())
    kept = tmp_path / "kept.jsonl"
    early = Tally(kept)
    order = catalogue.faults(random.Random(1), early.turns)
    for struck, faults in ((1.0, []), (1.0, ["lost"]), (None, [])):
        early.add(next(order), Run("w", struck=struck, ended=4.0, faults=faults))
    late = Tally(kept)
    assert (sum(late.struck.values()), late.missed, late.seconds) == (2, 1, early.seconds)
    assert late.anomalies == early.anomalies
    assert len(late.anomalies) == 1
    order = catalogue.faults(random.Random(2), late.turns)
    rest = {(fault.point, fault.moment) for fault in itertools.islice(order, 3)}
    assert rest == {(point, m) for point in catalogue.counts for m in Moment if m is not Moment.HALF} - set(late.turns)


class Party:
    def __init__(self) -> None:
        self.taken: list[str] = []

    def take(self, what: str) -> str:
        self.taken.append(what)
        return what


@pytest.mark.parametrize(
    ("moment", "taken"), [(Moment.BEFORE, []), (Moment.LOST, ["a", "b"]), (Moment.HALF, ["a"])], ids=str
)
def test_a_call_is_hurt_once_at_its_moment(moment: Moment, taken: list[str]) -> None:
    party, struck = Party(), []
    watch = Watch(Fault("party.take@elsewhere", 2, moment), {}, lambda: struck.append(True))

    def call(*what: str) -> Any:
        def take(*each: str) -> list[str]:
            return [party.take(one) for one in each]

        return watch.call("party", "take", lambda: take(*what), lambda _: OSError("hurt"), half=lambda: take(what[0]))

    assert call("first") == ["first"]
    with pytest.raises(OSError, match="hurt"):
        call("a", "b")
    assert party.taken == ["first", *taken]
    assert call("last") == ["last"]
    assert struck == [True]
    assert watch.counts == {"party.take@elsewhere": 3}


def test_what_is_not_the_services_is_left_alone() -> None:
    watch = Watch(Fault("party.take@elsewhere", 1, Moment.BEFORE), {})
    with watch.aside():
        assert watch.call("party", "take", lambda: 1, lambda _: OSError("hurt")) == 1
    assert watch.counts == {}


def test_a_fault_is_read_as_it_is_told() -> None:
    fault = Fault("disk.link@service.vault.objects.local._link<service.usecases.rewriting.store", 3, Moment.DIES)
    assert Fault.parse(str(fault)) == fault
    assert Fault.parse("a.b@c@lost") == Fault("a.b@c", 1, Moment.LOST)
