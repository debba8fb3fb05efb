import sys
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client

OF_TYPE = {
    "PAUSED": "the person it waits for: resume the run",
    "PENDING": "operator: see how far its worker came",
    "RUNNING": "developer: see what its tasks and blocks wait for",
    "CANCELLING": "operator: end its process, if there is one",
}


def who_must_act(api: SyncPrefectClient, run_id: UUID) -> str:
    run = api.read_flow_run(run_id)
    if run.state.name == "AwaitingConcurrencySlot":
        return "operator: free a slot of its deployment"
    if run.state.type.value != "SCHEDULED":
        return OF_TYPE.get(run.state.type.value, "developer: read its log")
    if run.next_scheduled_start_time > datetime.now(UTC):
        return "nobody: it has a time"
    if run.work_pool_name is None:
        return "developer: start what serves its deployment"
    pool = api.read_work_pool(run.work_pool_name)
    queue = api.read_work_queue(run.work_queue_id)
    for kind, place in ("pool", pool), ("queue", queue):
        if place.status.value == "PAUSED":
            return f"operator: resume work {kind} {place.name}"
        if place.concurrency_limit is not None:
            if place.active_slots >= place.concurrency_limit:
                return f"operator: free a slot of work {kind} {place.name}"
        if place.status.value == "NOT_READY":
            return f"operator: start a worker for work {kind} {place.name}"
    return "operator: see if its worker is at its own limit"


if __name__ == "__main__":
    with get_client(sync_client=True) as api:
        print(who_must_act(api, UUID(sys.argv[1])))
