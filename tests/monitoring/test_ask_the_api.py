import asyncio
import inspect
from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings.models.server.api import ServerAPISettings
from prefect.states import Failed

# The runs are those of shop_week.py, which both programs import.
NOW = datetime.now(UTC)
WEEK_AGO, TOMORROW = NOW - timedelta(days=7), NOW + timedelta(days=1)


def test_failures_before_the_newest_runs_are_overlooked(dont):
    """Twenty runs of `load-orders` are newer than the failures, so the failures
    are not among the newest twenty.
    """
    assert dont.failures_by_flow(dont.shop_week.record(), WEEK_AGO) == {}


def test_one_answer_has_at_most_200_runs(do, api):
    """A list that you look through ends where the page ends; a question to the
    API is answered from all runs.

    A larger `limit` only moves the day on which this happens: without `limit`
    you get 200 runs, and a server with default settings refuses to return more
    than that.

    `count_flow_runs` has no limit. When you need the runs themselves, call
    `read_flow_runs` with a growing `offset` until it returns less than `limit`.
    """
    with pytest.raises(PrefectHTTPStatusError) as error:
        api.read_flow_runs(sort="START_TIME_DESC", limit=201)
    assert "Invalid limit: must be less than or equal to 200." in str(
        error.value
    )
    limits = inspect.signature(api.read_flow_runs).parameters["limit"]
    assert limits.default is None
    assert ServerAPISettings.model_fields["default_limit"].default == 200

    this = {"flow_run_filter": FlowRunFilter(tags=do.shop_week.record())}
    assert api.count_flow_runs(**this) == 23
    pages = [
        api.read_flow_runs(**this, sort="ID_DESC", limit=10, offset=offset)
        for offset in (0, 10, 20)
    ]
    assert [len(page) for page in pages] == [10, 10, 3]
    assert len({run.id for page in pages for run in page}) == 23


def test_the_server_finds_and_counts_every_failure_of_the_week(do, api):
    """The parts of a filter are combined with "and".

    `read_flows` returns up to 200 flows at a time too, here only those with a
    failure.
    """
    with pytest.raises(PrefectHTTPStatusError, match="or equal to 200"):
        api.read_flows(limit=201)
    shop = do.shop_week.record()
    another = flow(lambda: None, name="count-stock")
    api.create_flow_run(another, state=Failed(), tags=shop.all_)

    found = do.failures_by_flow(shop, since=WEEK_AGO)
    assert found == {"load-prices": 3, "count-stock": 1}
    assert do.failures_by_flow(shop, since=TOMORROW) == {}
    nothing = do.FlowRunFilterTags(all_=[*shop.all_, "another tag"])
    assert do.failures_by_flow(nothing, since=WEEK_AGO) == {}


def test_a_filter_by_name_overlooks_what_the_type_finds(do, api):
    """A run that was too slow has the type `FAILED` and the name `TimedOut`; a
    run whose process died is `CRASHED`. A filter for the name `Failed` finds
    one of the three failures.

    `get_client` gives a client for ordinary code with `sync_client=True`, and
    without it one whose methods you await.
    """
    tags = do.shop_week.record()

    async def names_of(state):
        async with get_client() as client:
            this = FlowRunFilter(tags=tags, state=state)
            runs = await client.read_flow_runs(flow_run_filter=this)
            assert len(runs) == api.count_flow_runs(flow_run_filter=this)
            return sorted(run.state_name for run in runs)

    def names(**state):
        return asyncio.run(names_of(state))

    assert names(name={"any_": ["Failed"]}) == ["Failed"]
    assert names(type={"any_": ["FAILED"]}) == ["Failed", "TimedOut"]
    bad = {"any_": do.BAD}
    assert names(type=bad) == ["Crashed", "Failed", "TimedOut"]
