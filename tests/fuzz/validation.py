"""Fuzzes the validator with coverage of its own sources and of pyHanko's (atheris, libFuzzer).

    python -m tests.fuzz.validation FOLDER [--seconds 300]

The corpus starts with valid files of every level, made here; what is found stays in FOLDER. A finding is an exception,
a document called valid that is not one of the seeds, or one that takes longer than a reader may (--timeout). The
process that judges the document is this one, without walls: whatever gets out of it would be a crash behind them.
"""

import argparse
import logging
import random
import sys
from datetime import timedelta
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["signing", "pyhanko", "pyhanko_certvalidator"]):
    from signing.validate import validate
    from signing.validation.etsi import as_xml

from signing.report import Report
from signing.validation.sentences import LANGUAGES, sentence
from tests.longterm_support import SIGNED, house, judge
from tests.mutation_support import is_sound, mutated, seeds

SOON = SIGNED + timedelta(days=1)
_ROOTS = house().roots
_LARGEST = 200_000


class Unsound(Exception):
    """A document was called valid that nobody signed."""


def one(content: bytes, honest: dict[bytes, Report]) -> None:
    """Judge one input and put all that is said of it into words."""
    report = validate(content, trust_roots=_ROOTS, at=SOON)
    if not is_sound(content, report, honest):
        raise Unsound(report.sha256)
    for language in LANGUAGES:
        sentence(report, language)
    if report.signatures:
        as_xml(report)


def mutate(content: bytes, largest: int, seed: int) -> bytes:
    """Half of the mutations are libFuzzer's, which know no PDF; half are ours, which do."""
    chance = random.Random(seed)
    if not content:
        return seeds()[0]
    if chance.random() < 0.5:
        return atheris.Mutate(content, min(largest, _LARGEST))
    return mutated(content, chance)[:largest]


def main() -> None:
    """Write the corpus and run until the time is over or something is found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=300)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    corpus = arguments.folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}.pdf").write_bytes(seed)
    honest = {seed: judge(seed) for seed in seeds()}
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-max_len={_LARGEST}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={arguments.folder}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda content: one(content, honest), custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
