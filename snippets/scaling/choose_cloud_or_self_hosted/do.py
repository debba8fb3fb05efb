from datetime import timedelta

from prefect import flow
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.events import EventTrigger
from prefect.events.actions import DoNothing


@flow
def load_warehouse() -> None: ...


SLOW = EventTrigger(
    posture="Proactive",
    after={"prefect.flow-run.Running"},
    expect={"prefect.flow-run.Completed", "prefect.flow-run.Failed"},
    for_each={"prefect.resource.id"},
    match_related={
        "prefect.resource.role": "flow",
        "prefect.resource.name": "load-warehouse",
    },
    within=timedelta(seconds=600),
)


def deploy() -> Automation:
    load_warehouse.to_deployment("nightly-with-alert").apply()
    alert = Automation(name="load-is-slow", trigger=SLOW, actions=[DoNothing()])
    return alert.create()


if __name__ == "__main__":
    alert = deploy()

    with get_client(sync_client=True) as api:
        api.read_deployment_by_name("load-warehouse/nightly-with-alert")
    print(
        "The deployment exists, and its alert:", Automation.read(alert.id).name
    )
    alert.delete()
