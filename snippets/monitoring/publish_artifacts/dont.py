from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import MissingResult

PAID = {"order-7": True, "order-8": False, "order-9": False}


@flow
def find_unpaid_orders(paid: dict[str, bool]) -> list[dict]:
    unpaid = []
    for order in paid:
        if not paid[order]:
            unpaid.append({"order": order, "reminders": 0})
    return unpaid


if __name__ == "__main__":
    state = find_unpaid_orders(PAID, return_state=True)

    # Tomorrow, on another machine, somebody asks what the run found.
    with get_client(sync_client=True) as api:
        run = api.read_flow_run(state.state_details.flow_run_id)
    try:
        print(run.state.result())
    except MissingResult as error:
        print(error)
