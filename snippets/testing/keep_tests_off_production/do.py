from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


refunds = {"2026-03-01": [30, 70]}


@flow
def total_refunds(day: str) -> int:
    return sum(refunds[day])


def test_total():
    assert total_refunds("2026-03-01") == 100


def test_unknown_day():
    assert total_refunds("2026-03-02", return_state=True).is_failed()


def take_from_your_server() -> list[str]:
    name = FlowFilterName(any_=[total_refunds.name])
    with get_client(sync_client=True) as server:
        runs = server.read_flow_runs(flow_filter=FlowFilter(name=name))
        for run in runs:
            server.delete_flow_run(run.id)
    return sorted(run.state_name or "" for run in runs)


if __name__ == "__main__":
    with redirect_stdout(StringIO()):
        ended = pytest.main([__file__])
    print("Tests:", ended.name)
    print("Runs on your server:", take_from_your_server())
