from collections import Counter
from datetime import UTC, datetime, timedelta

import shop_week
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterId,
    FlowRunFilter,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)

BAD = ["FAILED", "CRASHED"]


def failures_by_flow(tags: FlowRunFilterTags, since: datetime) -> Counter:
    failures = FlowRunFilter(
        tags=tags,
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=BAD)),
        start_time=FlowRunFilterStartTime(after_=since),
    )
    with get_client(sync_client=True) as api:
        by_flow = Counter()
        for flow in api.read_flows(flow_run_filter=failures):
            this_flow = FlowFilter(id=FlowFilterId(any_=[flow.id]))
            by_flow[flow.name] = api.count_flow_runs(
                flow_filter=this_flow, flow_run_filter=failures
            )
        return by_flow


if __name__ == "__main__":
    shop = shop_week.record()
    week_ago = datetime.now(UTC) - timedelta(days=7)
    failures = failures_by_flow(shop, week_ago)
    print(f"Failures of the last 7 days: {dict(failures)}")
