"""The promise of the pages, held file by file. See contract.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import contract, recorded
from tests.book import BOOK, ROOT, Book

PAGES = {page.name: page for page in BOOK.pages}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_shows_only_tested_files(name: str) -> None:
    contract.report(contract.page_problems(PAGES[name]))


def test_page_programs_and_tests_stand_in_step(book: Book) -> None:
    contract.report(contract.room_problems(book))


@pytest.mark.parametrize(
    "name", [p.name for p in recorded.pages_with_recorded_parts(BOOK)]
)
def test_the_recorded_parts_are_up_to_date(
    name: str, record: Callable[[Path, str], None]
) -> None:
    page = PAGES[name]
    record(page.file, recorded.with_recorded_parts(page))


@pytest.mark.parametrize("name", recorded.FILES)
def test_the_recorded_files_are_up_to_date(
    name: str, book: Book, record: Callable[[Path, str], None]
) -> None:
    record(ROOT / name, recorded.FILES[name](book))
