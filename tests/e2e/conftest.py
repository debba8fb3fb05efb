"""The project and the office that the tests of a worker share.

What imports Prefect is imported late: pytest loads this file before the suite
has chosen a server.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import pytest

from tests import starter

if TYPE_CHECKING:
    from tests.e2e.office import Office, Project


@pytest.fixture(scope="module")
def package() -> Iterator[None]:
    """Make the package importable, as it is in the image."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(starter.FOLDER / "src")
        yield
    for name in [n for n in sys.modules if n.startswith("daily_sales")]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    from tests.e2e.office import TOKEN, Project
    from tests.git_host import git_host

    folder = tmp_path_factory.mktemp("project")
    (folder / "host").mkdir()
    with git_host(folder / "host", TOKEN) as host:
        yield Project(folder, host)


@pytest.fixture(scope="session")
def at_work(
    tmp_path_factory: pytest.TempPathFactory, project: Project
) -> Iterator[Office]:
    """The team at work: all is set up, deployed and running."""
    from tests.e2e.office import SHOP, Office

    with SHOP.open_shop() as shop:
        office = Office(tmp_path_factory.mktemp("office"), project, shop)
        try:
            office.start_server()
            office.run("uv", "run", "daily-sales", "set-up")
            office.run("uv", "run", "prefect", "deploy", "--all")
            office.start_worker()
            yield office
        finally:
            office.pull_the_plug()
            office.server.close()


@pytest.fixture
def office(at_work: Office) -> Iterator[Office]:
    """The same, and Prefect in this process uses its server until the end."""
    from tests.observe import client_of

    with client_of(at_work.settings["PREFECT_API_URL"]) as at_work.api:
        yield at_work


@pytest.fixture
def day(office: Office) -> Iterator[date]:
    """A new day, on which all works and nobody was told anything."""
    office.shop.begin()
    yield office.next_day()
    office.gate.set()
