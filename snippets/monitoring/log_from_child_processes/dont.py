from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from prefect import State, flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId


def check(file: str) -> None:
    get_run_logger().info("%s is complete", file)


@flow(flow_run_name="night check")
def check_files(files: list[str]) -> None:
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        list(pool.map(check, files))


def stored_checks(state: State) -> list[str]:
    run_ids = [state.state_details.flow_run_id]
    this_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=run_ids))
    with get_client(sync_client=True) as client:
        messages = [log.message for log in client.read_logs(this_run)]
    return [text for text in messages if text.endswith("is complete")]


if __name__ == "__main__":
    state = check_files(["a.csv", "b.csv", "c.csv"], return_state=True)
    print("State:", state.name)
    print("Stored by the server:", stored_checks(state))
