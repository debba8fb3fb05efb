from datetime import timedelta

import pager
from prefect import flow
from prefect.automations import Automation, CallWebhook, EventTrigger
from prefect.blocks.webhook import Webhook
from prefect.events.schemas.automations import Posture


@flow
def load_night_prices() -> None: ...


def create_automation(within: timedelta) -> Automation:
    block_id = Webhook(url=pager.url).save("no-night-prices", overwrite=True)
    text = f"no {load_night_prices.name} has completed"
    return Automation(
        name="no-night-prices",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.Completed"},
            expect={"prefect.flow-run.Completed"},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": load_night_prices.name,
            },
            within=within,
        ),
        actions=[CallWebhook(block_document_id=block_id, payload=text)],
    ).create()


if __name__ == "__main__":
    # 26 hours for a flow that runs each night. Ten seconds is the least.
    automation = create_automation(within=timedelta(seconds=10))
    load_night_prices()
    print(f"Alert: {pager.next_alert(seconds=60)}")
    automation.delete()
    Webhook.delete("no-night-prices")
