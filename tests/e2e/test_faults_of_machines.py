"""A part of the office fails: what the team sees, and who is told.

After each fault the table has each order of the day once, or none of a source.
"""

import pytest

from tests.e2e.office import ALL, SHOP_LIMIT, STORES
from tests.observe import automations_act, settles

pytestmark = pytest.mark.xdist_group("machines of the office")


def test_a_run_is_cancelled(office, day):
    run = office.held(day)
    office.run("uv", "run", "prefect", "flow-run", "cancel", str(run.id))
    office.becomes(run, "Cancelled")
    assert office.sold(day) == STORES
    office.gate.set()
    assert office.alerts() == []
    office.completes(day)


def test_the_machine_of_the_worker_goes_down(office, day):
    office.run(
        "uv", "run", "daily-sales", "set-up", DAILY_SALES_SILENCE="PT10S"
    )
    automations_act(office.api)
    run = office.held(day)
    office.pull_the_plug()
    nightly = f"deployment:{run.deployment_id}"
    assert office.taken(nightly) == office.taken(SHOP_LIMIT) == 1
    run = office.becomes(run, "Crashed")
    settles(lambda: office.taken(nightly), 0)
    # This one is free when its lease of five minutes has ended.
    assert office.taken(SHOP_LIMIT) == 1
    assert run.state.message == "No heartbeat."
    office.told(f"sales of {day} is Crashed", "No heartbeat.")
    assert office.sold(day) == STORES
    office.gate.set()
    office.run("uv", "run", "daily-sales", "set-up")
    automations_act(office.api)
    waiting = office.ask(day=office.next_day())
    settles(lambda: len(office.alerts("daily-sales-late")), 1)
    office.start_worker()
    office.run("uv", "run", "prefect", "flow-run", "retry", str(run.id))
    for each in run, waiting:
        office.becomes(each, "Completed")
    assert office.sold(day) == office.sold(waiting.parameters["day"]) == ALL


def test_the_server_is_away_for_longer_than_events_wait(office, day):
    run = office.held(day)
    said = (office.folder / "worker.log").stat().st_size
    office.server.close()

    def loses_events():
        log = (office.folder / "worker.log").read_bytes()[said:]
        return b"failed to process item Event" in log

    settles(loses_events, True, 60)
    office.start_server()
    office.gate.set()
    office.becomes(run, "Completed")
    assert office.sold(day) == ALL
    assert office.alerts() == []
    office.completes(office.next_day())
