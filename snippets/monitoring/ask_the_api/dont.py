from collections import Counter
from datetime import UTC, datetime, timedelta

import shop_week
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.sorting import FlowRunSort

BAD = ["FAILED", "CRASHED"]


def failures_by_flow(tags: FlowRunFilterTags, since: datetime) -> Counter:
    with get_client(sync_client=True) as api:
        runs = api.read_flow_runs(
            flow_run_filter=FlowRunFilter(tags=tags),
            sort=FlowRunSort.START_TIME_DESC,
            limit=20,
        )
        return Counter(
            api.read_flow(run.flow_id).name
            for run in runs
            if run.state_type in BAD and run.start_time > since
        )


if __name__ == "__main__":
    shop = shop_week.record()
    week_ago = datetime.now(UTC) - timedelta(days=7)
    failures = failures_by_flow(shop, week_ago)
    print(f"Failures of the last 7 days: {dict(failures)}")
