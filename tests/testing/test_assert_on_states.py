import pytest
from prefect import task
from prefect.states import Completed, Crashed

from tests.observe import log_messages, settles, task_runs

# task_states.py reads the record for do.py.
BUG = (
    "Task run encountered an exception AttributeError:"
    " 'str' object has no attribute 'year'"
)


def test_return_values_hide_two_faults(dont, api, caplog):
    dont.test_report()
    dont.test_day_without_orders()
    assert f'Finished in state Failed("{BUG}")' in caplog.text

    state = dont.daily_report("2026-03-02", return_state=True)
    settles(
        lambda: task_runs(api, state),
        [("archive", "Failed", 1), ("load_orders", "Completed", 1)],
    )


def test_states_show_both_faults(do):
    with pytest.raises(AssertionError, match="archive Failed"):
        do.test_report()
    with pytest.raises(AssertionError, match="Completed"):
        do.test_day_without_orders()


def test_both_tests_pass_once_the_faults_are_mended(do, monkeypatch):
    @task
    def load_orders(day: str) -> list[int]:
        if day != "2026-03-01":
            raise ValueError(f"no orders on {day}")
        return [30, 70]

    @task
    def archive(day: str, total: int) -> str:
        return f"{day[:4]}/{day}: {total}"

    monkeypatch.setattr(do, "load_orders", load_orders)
    monkeypatch.setattr(do, "archive", archive)
    do.test_report()
    do.test_day_without_orders()

    state = do.daily_report("2026-03-02", return_state=True)
    assert state.message == (
        "Flow run encountered an exception: ValueError: no orders on 2026-03-02"
    )
    with pytest.raises(ValueError, match="no orders"):
        state.result()


def test_the_api_has_the_parameters_and_the_log(do, api):
    state = do.daily_report("2026-03-01", return_state=True)

    run = api.read_flow_run(state.state_details.flow_run_id)
    assert run.parameters == {"day": "2026-03-01"}
    settles(
        lambda: any("has no attribute" in m for m in log_messages(api, state)),
        True,
    )


def test_a_check_of_the_type_sees_less_than_the_name():
    assert Completed(name="Cached").is_completed()
    assert not Crashed().is_failed()
