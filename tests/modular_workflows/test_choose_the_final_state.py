from inspect import getsource

import pytest
from prefect import flow, task
from prefect.events.filters import EventAnyResourceFilter, EventFilter
from prefect.states import Cancelled, Completed, Failed, Paused  # noqa: F401

from tests.observe import settles, task_runs

# Before this line of the flow: loads = load.map(["mon.csv", "tue.csv"])
LAST_LINES = [
    "return loads",
    "return loads[1]",
    "return loads.result()",
    "return report.submit(loads)",
    "return Failed(message='1 of 2')",
    "raise ValueError('1 of 2')",
    "return [*loads, Cancelled()]",
    "return {'week': loads}",
    "return [loads]",
    "return [*loads, 'report']",
    "return loads.result(raise_on_failure=False)",
    "return report(loads)",
    "return ValueError('1 of 2')",
    "return Completed(message='1 of 2')",
]


@task
def report(rows):
    return "report"


def end(load, last_line):
    @flow
    def load_and_end():
        known = {**globals(), "loads": load.map(["mon.csv", "tue.csv"])}
        exec(f"def end():\n    {last_line}", known)
        return known["end"]()

    return load_and_end(return_state=True)


def test_the_last_line_of_a_flow_decides(do, table):
    """A flow run's final state is made from what the function returns or
    raises, and a failure inside a dict counts as success.

    So a small change of the last line changes the end of the run.
    """
    rows, ended = [], {}
    for line in LAST_LINES:
        state = end(do.load, line)
        ended[line] = (state.name, state.message)
        message = f"`{state.message}`" if state.message else "none"
        rows.append([f"`{line}`", f"`{state.name}`", message])

    assert ended["return loads"] == ("Failed", "1/2 states failed.")
    assert ended["return report.submit(loads)"] == (
        "Failed",
        "1/1 states are not final.",
    )
    assert ended["return {'week': loads}"] == ("Completed", None)
    table(
        "endings.md", ["Last line of the flow", "Final state", "Message"], rows
    )


@pytest.mark.parametrize(
    ("last_line", "name"),
    [
        ("return loads[:1]", "Completed"),
        ("return tuple(loads)", "Failed"),
        ("return {*loads}", "Failed"),
        ("return {0: loads[1]}", "Completed"),
        ("return [*loads, Paused(), Cancelled()]", "Cancelled"),
        ("return [*loads, Paused()]", "Paused"),
        ("return Paused()", "Paused"),
        ("return load_and_fail(return_state=True)", "Failed"),
    ],
)
def test_states_are_counted_and_data_is_not(do, monkeypatch, last_line, name):
    """If it is a list, tuple or set of states and nothing else, or the state of
    another run, the flow run is `Completed` if all of these states are. If not,
    it is `Cancelled` if one of them is, `Paused` if one of them is, and
    `Failed` if there is neither.

    If it is one state that you made yourself, the flow run gets this state.

    Any other value is data, and data means `Completed`. A dict is data,
    whatever is in it.
    """
    load_and_fail = flow(lambda: do.load("tue.csv"), name="load-and-fail")
    monkeypatch.setitem(globals(), "load_and_fail", load_and_fail)
    assert end(do.load, last_line).name == name


def test_a_dict_of_futures_hides_the_failure(dont, api):
    """When a flow returns, Prefect waits for the futures in the value and puts
    their states in their place.
    """
    state = dont.load_week(list(dont.ROWS), return_state=True)

    assert state.is_completed()
    assert {file: s.name for file, s in state.result().items()} == {
        "mon.csv": "Completed",
        "tue.csv": "Failed",
        "wed.csv": "Completed",
    }


def test_a_flow_that_raises_says_what_is_missing(do, api):
    """An exception ends the run as `Failed` and stops the caller too. Its text
    becomes the message of the state, so say what is missing. `wait` lets each
    file have its try first.
    """
    state = do.load_week(list(do.ROWS), return_state=True)

    run = api.read_flow_run(state.state_details.flow_run_id)
    assert run.state_name == "Failed"
    assert run.state.message.endswith("RuntimeError: no rows from tue.csv")
    done = ("load", "Completed", 1)
    settles(lambda: task_runs(api, state), [done, done, ("load", "Failed", 1)])
    with pytest.raises(RuntimeError):
        do.load_week(["tue.csv"])
    assert do.load_week(["mon.csv", "wed.csv"]) == {
        "mon.csv": 120,
        "wed.csv": 95,
    }


def test_one_file_may_be_missing(do, monkeypatch):
    """If your week is good enough with one file missing, write
    `if len(missing) > 1:`.
    """
    code = getsource(do.load_week.fn)
    assert "if missing:" in code
    exec(code.replace("if missing:", "if len(missing) > 1:"), vars(do))

    assert do.load_week(list(do.ROWS)) == {"mon.csv": 120, "wed.csv": 95}
    monkeypatch.setitem(do.ROWS, "wed.csv", 0)
    with pytest.raises(RuntimeError, match=r"no rows from tue\.csv, wed\.csv"):
        do.load_week(list(do.ROWS))


def test_a_failed_run_that_did_not_raise_does_not_stop_its_caller(dont):
    """The run is `Failed`, but a call of the flow raises nothing: it returns a
    list of states. A parent flow that does not look at them goes on, and is
    `Completed`.
    """

    @flow
    def load_list(files):
        return dont.load.map(files)

    @flow
    def parent():
        mon, tue = load_list(["mon.csv", "tue.csv"])
        assert (mon.name, tue.name) == ("Completed", "Failed")

    assert load_list(["tue.csv"], return_state=True).is_failed()
    assert parent(return_state=True).is_completed()


def test_the_result_of_each_future_raises(do):
    """If any exception should fail the flow, you need no decision: call
    `result()` on each future, and it raises.
    """

    @flow
    def load_all(files):
        loads = [do.load.submit(file) for file in files]
        return [load.result() for load in loads]

    assert load_all(["mon.csv", "wed.csv"]) == [120, 95]
    with pytest.raises(ValueError, match=r"tue\.csv is empty"):
        load_all(["mon.csv", "tue.csv"])


def test_a_state_of_your_own_has_a_name_of_your_own(api):
    """Its type is `COMPLETED`, so `is_completed()` is true, and the hooks for
    completion run. But its event is `prefect.flow-run.Partial`, and an
    automation that expects `prefect.flow-run.Completed` does not see it. The
    caller of the flow gets `None`, or what you give the state as `data=`.
    """
    hooks = []

    @flow(on_completion=[lambda flow, run, state: hooks.append(state.name)])
    def load_most():
        return Completed(name="Partial", message="1 of 3 files is missing")

    state = load_most(return_state=True)
    run = api.read_flow_run(state.state_details.flow_run_id)
    assert (run.state_name, run.state_type) == ("Partial", "COMPLETED")
    assert state.is_completed() and hooks == ["Partial"]
    assert load_most() is None
    assert flow(lambda: Completed(data=2), name="load-two")() == 2
    its_events = EventFilter(
        any_resource=EventAnyResourceFilter(id=[f"prefect.flow-run.{run.id}"])
    )

    def last_events():
        events = api.read_events(its_events, limit=9).events
        return {e.event for e in events} - {"prefect.flow-run.Pending"}

    settles(
        last_events, {"prefect.flow-run.Running", "prefect.flow-run.Partial"}
    )
