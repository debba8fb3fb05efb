import pytest
from prefect.states import Crashed

from tests.backend import patient

# The alerts are what pager.py received over HTTP.
BAD, NONE = ["25 EUR"], []
FAILED = "load-night-orders is Failed"
CRASHED = "load-night-orders is Crashed"


@pytest.fixture
def automation(do):
    automation = do.create_automation()
    yield automation
    automation.delete()


def test_an_on_failure_hook_does_not_fire_for_a_crash(dont, caplog):
    with pytest.raises(ValueError):
        dont.load_night_orders(BAD)
    with pytest.raises(SystemExit):
        dont.load_night_orders(NONE)

    assert (
        "Crash detected! Execution was aborted by Python system exit call."
        in caplog.messages
    )
    assert dont.pager.next_alert(seconds=1) == FAILED
    assert dont.pager.alerts.empty()


def test_the_exception_of_a_hook_is_swallowed(dont, monkeypatch, caplog):
    monkeypatch.setattr(dont.pager, "url", "http://127.0.0.1:1")

    with pytest.raises(ValueError, match="25 EUR"):
        dont.load_night_orders(BAD)

    assert (
        "An error was encountered while running hook 'page'" in caplog.messages
    )
    assert "ConnectError" in caplog.text
    assert dont.pager.alerts.empty()


def test_an_automation_fires_for_a_failure_and_for_a_crash(do, automation):
    with pytest.raises(ValueError):
        do.load_night_orders(BAD)
    assert do.pager.next_alert(patient(60)) == FAILED

    with pytest.raises(SystemExit):
        do.load_night_orders(NONE)
    assert do.pager.next_alert(patient(60)) == CRASHED


def test_an_automation_fires_for_a_crash_that_another_process_reports(
    do, automation, api
):
    run = api.create_flow_run(do.load_night_orders, parameters={"prices": BAD})

    api.set_flow_run_state(run.id, Crashed())

    assert do.pager.next_alert(patient(60)) == CRASHED
