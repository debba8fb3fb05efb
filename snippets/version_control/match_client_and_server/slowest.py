from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import TaskRunSort
from prefect.exceptions import PrefectHTTPStatusError


def slowest(api: SyncPrefectClient) -> list[TaskRun]:
    if hasattr(TaskRunSort, "DURATION_DESC"):  # new in Prefect 3.9
        return api.read_task_runs(sort=TaskRunSort.DURATION_DESC)
    return sorted(api.read_task_runs(), key=lambda run: -run.total_run_time)


@flow
def report_slowest_tasks() -> None:
    with get_client(sync_client=True) as api:
        slowest(api)


if __name__ == "__main__":
    try:
        report_slowest_tasks()
        print("The report is written.")
    except PrefectHTTPStatusError as error:
        answer = error.response
        print(answer.status_code, answer.json()["exception_message"])
