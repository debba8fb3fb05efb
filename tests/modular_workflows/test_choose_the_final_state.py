import pytest
from prefect import flow, task
from prefect.states import Completed, Failed

from tests.book import ROOT
from tests.observe import settles, task_runs

PAGE = ROOT / "docs/modular-workflows/choose-the-final-state.md"
RAISED = "Flow run encountered an exception: ValueError: "
# Before this line of the flow: loads = load.map(["mon.csv", "tue.csv"])
ENDINGS = [
    ("return loads", "Failed", "1/2 states failed."),
    ("return loads[1]", "Failed", "1/1 states failed."),
    ("return loads.result()", "Failed", f"{RAISED}tue.csv is empty"),
    ("return report.submit(loads)", "Failed", "1/1 states are not final."),
    ("return Failed(message='1 of 2')", "Failed", "1 of 2"),
    ("raise ValueError('1 of 2')", "Failed", f"{RAISED}1 of 2"),
    ("return {'week': loads}", "Completed", None),
    ("return [loads]", "Completed", None),
    ("return [*loads, 'report']", "Completed", None),
    ("return loads.result(raise_on_failure=False)", "Completed", None),
    ("return report(loads)", "Completed", None),
    ("return ValueError('1 of 2')", "Completed", None),
    ("return Completed(message='1 of 2')", "Completed", "1 of 2"),
]


@pytest.mark.parametrize(("last_line", "name", "message"), ENDINGS)
def test_the_last_line_of_a_flow_decides(do, last_line, name, message):
    @task
    def report(rows):
        return "report"

    @flow
    def load_and_end():
        known = {"report": report, "Failed": Failed, "Completed": Completed}
        exec(f"def end(loads):\n    {last_line}", known)
        return known["end"](do.load.map(["mon.csv", "tue.csv"]))

    state = load_and_end(return_state=True)
    assert (state.name, state.message) == (name, message)


def test_the_page_shows_these_endings():
    rows = [
        f"| `{line}` | `{name}` | {f'`{message}`' if message else 'none'} |"
        for line, name, message in ENDINGS
    ]
    shown = PAGE.read_text("utf-8").splitlines()
    assert [row for row in shown if row.startswith("| `")] == rows


def test_a_dict_of_futures_hides_the_failure(dont, api):
    state = dont.load_week(list(dont.ROWS), return_state=True)

    assert state.is_completed()
    settles(
        lambda: task_runs(api, state),
        [
            ("load", "Completed", 1),
            ("load", "Completed", 1),
            ("load", "Failed", 1),
        ],
    )


def test_a_flow_that_raises_says_what_is_missing(do, api):
    state = do.load_week(list(do.ROWS), return_state=True)

    run = api.read_flow_run(state.state_details.flow_run_id)
    assert run.state_name == "Failed"
    assert run.state.message.endswith("RuntimeError: no rows from tue.csv")
    assert do.load_week(["mon.csv"]) == {"mon.csv": 120}


def test_a_failed_run_that_did_not_raise_does_not_stop_its_caller(dont):
    @flow
    def load_list(files):
        return dont.load.map(files)

    @flow
    def parent():
        mon, tue = load_list(["mon.csv", "tue.csv"])
        assert (mon.name, tue.name) == ("Completed", "Failed")

    assert load_list(["tue.csv"], return_state=True).is_failed()
    assert parent(return_state=True).is_completed()


def test_a_state_of_your_own_has_a_name_of_your_own(do, api):
    @flow
    def load_most():
        return Completed(name="Partial", message="1 of 3 files is missing")

    state = load_most(return_state=True)
    run = api.read_flow_run(state.state_details.flow_run_id)
    assert (run.state_name, run.state_type) == ("Partial", "COMPLETED")
