"""The starter on a good day, on real servers."""

from tests.e2e.conftest import ALL
from tests.observe import log_messages


def test_it_runs_on_demand(office):
    day = office.next_day()
    run = office.ends(office.ask(day), "Completed")
    assert office.sold(day) == ALL
    assert run.name == f"sales of {day}"
    assert run.deployment_version == office.project.commit
    assert f"commit:{office.project.commit}" in run.tags
    print(log_messages(office.api, run.state))
    print(office.api.read_artifacts())
