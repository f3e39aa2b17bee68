"""Pages that are made smaller until they stand within the margins: which, and what is found of the letter then."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from printing.checks import REDUCIBLE, Findings
from printing.errors import Problem
from printing.profiles import Profile


def reducible(problems: Sequence[Problem], profile: Profile) -> frozenset[int]:
    """The pages of a composed letter that only have to be made smaller; none where something else is wrong too.

    Never the first, which shows the address: nothing on it may be moved.
    """
    pages = {each.page for each in problems if each.page is not None and each.page > 1}
    alone = all(each.code in REDUCIBLE and each.page in pages for each in problems)
    return frozenset(pages) if alone and profile.rules.reduce else frozenset()


def with_reduced(before: Findings, after: Findings, pages: Collection[int]) -> Findings:
    """What is found of a letter some of whose pages were made smaller.

    Args:
        before: about the letter as it was, whose problems were those of these pages alone.
        after: about the letter as it is, looked at on these pages only, where no codes were.
        pages: the numbers of those that were made smaller; the others are what they were.
    """
    kept = [each for each in before.warnings if each.page is not None and each.page not in pages]
    # As if all were looked at in one go: page by page, and what concerns the whole letter last.
    warnings = sorted([*kept, *after.warnings], key=lambda each: (each.page is None, each.page or 0))
    pictures = {number: png for number, png in before.pictures.items() if number not in pages}
    return replace(
        after,
        warnings=tuple(warnings),
        window_lines=before.window_lines,
        pictures=dict(sorted({**pictures, **after.pictures}.items())),
    )
