import time

import pytest
from prefect import flow
from prefect.blocks.webhook import Webhook
from prefect.states import Cancelled, Completed, Crashed, Failed

from tests.backend import patient
from tests.observe import automations_act, settles

# The alerts are what pager.py received over HTTP.
BAD, NONE = ["25 EUR"], []
NAME = "load-night-orders"


@pytest.fixture
def automation(do, api):
    automation = do.create_automation()
    automations_act(api)
    assert automation.name == "night-orders-pager"
    assert automation.trigger.expect == {"prefect.flow-run.*"}
    assert do.load_night_orders.on_failure_hooks == []  # no second alert
    yield
    automation.delete()


@pytest.fixture
def report(api):
    """Tell the server of a run and its state, as another process would."""

    def report(flow, state):
        run = api.create_flow_run(flow, parameters={"prices": BAD})
        api.set_flow_run_state(run.id, state)

    return report


def test_an_on_failure_hook_does_not_fire_for_a_crash(dont, caplog):
    """`ValueError` is an `Exception`, so the first run is `Failed` and the hook
    calls the pager. `sys.exit` raises `SystemExit`, which is not an
    `Exception`. So the second run is `Crashed`, another type of state, and
    `on_failure` does not fire for it.

    If you need one on every bad end, give the flow `on_crashed` as well as
    `on_failure`.
    """
    with pytest.raises(ValueError):
        dont.load_night_orders(BAD)
    with pytest.raises(SystemExit):
        dont.load_night_orders(NONE)

    assert (
        "Crash detected! Execution was aborted by Python system exit call."
        in caplog.messages
    )
    assert dont.pager.next_alert(seconds=1) == f"{NAME} is Failed"
    assert dont.pager.alerts.empty()

    with pytest.raises(SystemExit):
        dont.load_night_orders.with_options(on_crashed=[dont.page])(NONE)
    assert dont.pager.next_alert(seconds=1) == f"{NAME} is Crashed"


def test_the_exception_of_a_hook_is_swallowed(dont, monkeypatch, caplog):
    """If it raises, for example because this machine cannot reach the pager,
    Prefect writes the error to the run's log and goes on.
    """
    monkeypatch.setattr(dont.pager, "url", "http://127.0.0.1:1")

    with pytest.raises(ValueError, match="25 EUR"):
        dont.load_night_orders(BAD)

    assert (
        "An error was encountered while running hook 'page'" in caplog.messages
    )
    assert "ConnectError" in caplog.text
    assert dont.pager.alerts.empty()


def test_an_automation_alerts_by_the_type_of_the_state(do, automation, report):
    """The server makes an event of each state that a flow run enters.
    `match_related` takes only the events of this flow, and `match` only those
    with one of these types of state. Match the type, because the name of the
    event is the name of the state, and that can be anything. A run that takes
    longer than its `timeout_seconds` is `TimedOut` and a
    flow can name its failure `BadPrice`, but both states have the type
    `FAILED`.

    A cancelled run raises no alert here, because its state has the type
    `CANCELLED`.
    """

    @flow(name=NAME, timeout_seconds=0.1)
    def too_slow():
        for _ in range(1000):
            time.sleep(0.01)

    another_flow = flow(lambda prices: None, name="load-day-orders")
    report(another_flow, Failed())
    report(do.load_night_orders, Completed())
    report(do.load_night_orders, Cancelled())
    assert too_slow(return_state=True).type == "FAILED"
    assert do.pager.next_alert(patient(60)) == f"{NAME} is TimedOut"

    report(do.load_night_orders, Failed(name="BadPrice"))
    assert do.pager.next_alert(patient(60)) == f"{NAME} is BadPrice"
    assert do.pager.alerts.empty()


def test_an_automation_alerts_after_the_last_attempt(do, automation, api):
    """A flow with retries raises one alert, when its last attempt has failed:
    before that its state is `AwaitingRetry`, of the type `SCHEDULED`.
    """
    state = do.load_night_orders.with_options(retries=1)(BAD, return_state=True)

    assert do.pager.next_alert(patient(60)) == f"{NAME} is Failed"
    assert do.pager.alerts.empty()
    states = api.read_flow_run_states(state.state_details.flow_run_id)
    assert ("AwaitingRetry", "SCHEDULED") in [(s.name, s.type) for s in states]


def test_an_automation_fires_for_a_crash_that_another_process_reports(
    dont, do, automation, report
):
    """A hook runs in the flow's own process, which may be what broke; an
    automation runs on the server.

    Who reports the state does not matter. If another process says that the run
    is `Crashed`, the pager is called too.
    """
    report(dont.load_night_orders, Failed())
    assert do.pager.next_alert(patient(60)) == f"{NAME} is Failed"
    report(do.load_night_orders, Crashed())
    assert do.pager.next_alert(patient(60)) == f"{NAME} is Crashed"
    assert do.pager.alerts.empty()


def test_a_webhook_that_fails_leaves_an_event(do, report, api, monkeypatch):
    """If the server cannot reach the pager, all you have is an event,
    `prefect.automation.action.failed`.
    """
    monkeypatch.setattr(do.pager, "url", "http://127.0.0.1:1")
    automation = do.create_automation()
    events = {
        "event": {"name": ["prefect.automation.action.failed"]},
        "resource": {"id": [f"prefect.automation.{automation.id}"]},
    }

    report(do.load_night_orders, Failed())

    settles(
        lambda: api.request(
            "POST", "/events/filter", json={"filter": events}
        ).json()["total"],
        1,
    )
    assert do.pager.alerts.empty()
    automation.delete()
    Webhook.delete("night-orders-pager")
