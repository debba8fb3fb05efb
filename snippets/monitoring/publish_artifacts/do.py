from prefect import flow
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client

PAID = {"order-7": True, "order-8": False, "order-9": False}


@flow
def find_unpaid_orders(paid: dict[str, bool]) -> None:
    unpaid = []
    checked = create_progress_artifact(0, key="orders-checked")
    for number, order in enumerate(paid, 1):
        if not paid[order]:
            unpaid.append({"order": order, "reminders": 0})
        update_progress_artifact(checked, 100 * number / len(paid))
    create_table_artifact(
        unpaid, key="unpaid-orders", description="To be reminded today."
    )
    summary = f"**{len(unpaid)} of {len(paid)}** orders are unpaid."
    create_markdown_artifact(summary, key="unpaid-orders-summary")


if __name__ == "__main__":
    find_unpaid_orders(PAID)

    # Tomorrow, on another machine, somebody asks what the run found.
    with get_client(sync_client=True) as api:
        keys = "unpaid-orders", "unpaid-orders-summary", "orders-checked"
        table, markdown, progress = (
            api.request("GET", f"/artifacts/{key}/latest").json()["data"]
            for key in keys
        )
    print(f"table: {table}")
    print(f"markdown: {markdown}")
    print(f"progress: {progress:.0f} %")
