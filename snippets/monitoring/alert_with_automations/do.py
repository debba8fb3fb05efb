import sys
from contextlib import suppress

import pager
from prefect import flow
from prefect.automations import Automation, CallWebhook, EventTrigger
from prefect.blocks.webhook import Webhook


@flow
def load_night_orders(prices: list[str]) -> float:
    if not prices:
        sys.exit("there are no orders")
    return sum(float(price) for price in prices)


def create_automation() -> Automation:
    pager_id = Webhook(url=pager.url).save("night-orders-pager", overwrite=True)
    text = "{{ flow.name }} is {{ flow_run.state.name }}"
    return Automation(
        name="night-orders-pager",
        trigger=EventTrigger(
            expect={"prefect.flow-run.*"},
            match={"prefect.state-type": ["FAILED", "CRASHED"]},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": load_night_orders.name,
            },
        ),
        actions=[CallWebhook(block_document_id=pager_id, payload=text)],
    ).create()


if __name__ == "__main__":
    automation = create_automation()
    for prices in ["25 EUR"], []:
        with suppress(ValueError, SystemExit):
            load_night_orders(prices)
        print(f"{prices}: {pager.next_alert(seconds=60)}")
    automation.delete()
    Webhook.delete("night-orders-pager")
