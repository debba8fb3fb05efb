from datetime import datetime, timedelta

import pager
from prefect import flow
from prefect.automations import Automation, CallWebhook, EventTrigger
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment


@flow
def load_night_prices() -> None: ...


def create_automation() -> Automation:
    block_id = Webhook(url=pager.url).save("night-prices", overwrite=True)
    text = "{{ flow.name }} is {{ flow_run.state.name }}"
    return Automation(
        name="night-prices",
        trigger=EventTrigger(
            expect={"prefect.flow-run.*"},
            match={"prefect.state-type": ["FAILED", "CRASHED"]},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": load_night_prices.name,
            },
        ),
        actions=[CallWebhook(block_document_id=block_id, payload=text)],
    ).create()


if __name__ == "__main__":
    automation = create_automation()
    deployment = load_night_prices.to_deployment("night").apply()
    due = datetime.now().astimezone() - timedelta(minutes=1)
    run = run_deployment(deployment, scheduled_time=due, timeout=0)
    print(f"Alert: {pager.next_alert(seconds=10)}")
    with get_client(sync_client=True) as api:
        print(f"Flow run: {api.read_flow_run(run.id).state.name}")
        api.delete_flow_run(run.id)
        api.delete_deployment(deployment)
    automation.delete()
    Webhook.delete("night-prices")
