"""The project and the office that the tests of a worker share.

What imports Prefect is imported late: pytest loads this file before the suite
has chosen a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.office import Office, Project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    from tests.e2e.office import TOKEN, Project
    from tests.git_host import git_host

    folder = tmp_path_factory.mktemp("project")
    (folder / "host").mkdir()
    with git_host(folder / "host", TOKEN) as host:
        yield Project(folder, host)


@pytest.fixture(scope="session")
def office(
    tmp_path_factory: pytest.TempPathFactory, project: Project
) -> Iterator[Office]:
    from tests.e2e.office import at_work

    with at_work(tmp_path_factory.mktemp("office"), project) as office:
        yield office


@pytest.fixture
def day(office: Office) -> Iterator[date]:
    """A new day, on which all works and nobody was told anything."""
    office.shop.begin()
    yield office.next_day()
    office.gate.set()
