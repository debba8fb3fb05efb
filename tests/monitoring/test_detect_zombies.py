from datetime import timedelta

import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)

from tests.backend import patient
from tests.observe import settles

# Both programs import stock.py, which runs a flow in a process of its own:
# with the first heartbeat at its start, and the second 180 seconds later.


@pytest.fixture
def automation(do):
    automation = do.create_automation(within=timedelta(seconds=10))
    yield
    automation.delete()


def test_a_killed_run_stays_running(dont, api):
    run_id, process = dont.stock.start()
    process.kill()

    assert dont.stock.next_state(run_id, wait=3) == "Running"
    assert api.read_flow_run(run_id).end_time is None


def test_silence_makes_a_killed_run_crashed_and_a_healthy_one_too(
    do, api, automation
):
    quick, _ = do.stock.start(seconds=0)
    killed, process = do.stock.start()
    process.kill()
    healthy, working = do.stock.start(seconds=patient(60))

    settles(lambda: do.stock.state_of(killed), "Crashed", seconds=40)
    settles(lambda: do.stock.state_of(healthy), "Crashed", seconds=40)
    assert working.poll() is None
    working.kill()
    assert api.read_flow_run(healthy).state.message == "no heartbeat"
    assert do.stock.state_of(quick) == "Completed"


def test_a_heartbeat_comes_at_most_every_30_seconds():
    with (
        pytest.raises(
            ValueError, match="Input should be greater than or equal to 30"
        ),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 29}),
    ):
        pass
