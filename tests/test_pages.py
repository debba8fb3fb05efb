"""The promise of the pages, held file by file. See contract.py."""

from __future__ import annotations

import pytest

from tests import compat, contract, mutate, recorded
from tests.book import BOOK, ROOT

PAGES = {page.name: page for page in BOOK.pages}
RULES = {rule.slug: rule for rule in BOOK.rules}
RECORDED = recorded.pages_with_recorded_parts(BOOK)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_shows_only_tested_files(name):
    contract.report(contract.page_problems(PAGES[name]))


def test_the_rooms_of_all_rules_stand_in_step():
    contract.report(contract.room_problems(BOOK))


@pytest.mark.parametrize("slug", RULES)
def test_a_mistake_on_the_right_side_is_noticed(slug):
    contract.report(mutate.problems(RULES[slug]))


def test_the_matrix_says_how_older_versions_differ():
    contract.report(compat.problems(BOOK))


@pytest.mark.parametrize("name", [page.name for page in RECORDED])
def test_the_recorded_parts_are_up_to_date(name, record):
    record(PAGES[name].file, recorded.with_recorded_parts(PAGES[name]))


@pytest.mark.parametrize("name", recorded.FILES)
def test_the_recorded_file_is_up_to_date(name, record):
    record(ROOT / name, recorded.FILES[name](BOOK))


@pytest.mark.parametrize(
    "name",
    [
        file.relative_to(ROOT).as_posix()
        for file in sorted((ROOT / "tests").rglob("*.py"))
    ],
)
def test_the_tests_can_fail(name):
    contract.report(contract.tests_problems(ROOT / name, ROOT))
