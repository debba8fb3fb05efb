from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.schemas.filters import FlowRunFilter
from prefect.exceptions import PrefectHTTPStatusError

# The runs are those of shop_week.py, which both programs import.
NOW = datetime.now(UTC)
WEEK_AGO, TOMORROW = NOW - timedelta(days=7), NOW + timedelta(days=1)


def test_failures_before_the_newest_runs_are_overlooked(dont):
    assert dont.failures_by_flow(dont.shop_week.record(), WEEK_AGO) == {}


def test_one_answer_has_at_most_200_runs(api):
    with pytest.raises(PrefectHTTPStatusError) as error:
        api.read_flow_runs(sort="START_TIME_DESC", limit=201)
    assert "Invalid limit: must be less than or equal to 200." in str(
        error.value
    )


def test_the_server_finds_and_counts_every_failure_of_the_week(do):
    shop = do.shop_week.record()

    assert do.failures_by_flow(shop, since=WEEK_AGO) == {"load-prices": 3}
    assert do.failures_by_flow(shop, since=TOMORROW) == {}


@pytest.mark.parametrize(
    "state, found",
    [
        ({"name": {"any_": ["Failed"]}}, ["Failed"]),
        ({"type": {"any_": ["FAILED"]}}, ["Failed", "TimedOut"]),
        (
            {"type": {"any_": ["FAILED", "CRASHED"]}},
            ["Crashed", "Failed", "TimedOut"],
        ),
    ],
    ids=["name", "type", "types"],
)
def test_a_filter_by_name_overlooks_what_the_type_finds(do, api, state, found):
    this = FlowRunFilter(tags=do.shop_week.record(), state=state)

    runs = api.read_flow_runs(flow_run_filter=this, sort="ID_DESC")
    assert sorted(run.state_name for run in runs) == found
