from datetime import date

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter


@flow
def load_sales(day: date) -> None:
    if day == date(2026, 3, 2):
        raise FileNotFoundError(f"sales-{day}.csv")


def search(text: str, run_ids: list) -> str:
    wanted = FlowRunFilter(id={"any_": run_ids}, name={"like_": text})
    with get_client(sync_client=True) as api:
        found = api.read_flow_runs(flow_run_filter=wanted)
    return ", ".join(f"{run.name} is {run.state_name}" for run in found)


if __name__ == "__main__":
    days = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]
    states = [load_sales(day, return_state=True) for day in days]
    run_ids = [state.state_details.flow_run_id for state in states]
    for day in days:
        print(f"Search for {day}: {search(str(day), run_ids) or 'no run'}")
