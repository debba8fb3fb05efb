from datetime import timedelta
from uuid import UUID

from prefect import flow
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.events import EventTrigger
from prefect.events.actions import DoNothing


@flow
def load_warehouse() -> None: ...


ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
SLOW = EventTrigger(
    posture="Proactive",
    after={"prefect.flow-run.Running", "prefect.flow-run.Retrying"},
    expect={"prefect.flow-run.*"},
    match={"prefect.state-type": ["RUNNING", *ENDED]},
    match_related={
        "prefect.resource.role": "flow",
        "prefect.resource.name": "load-warehouse",
    },
    for_each={"prefect.resource.id"},
    within=timedelta(minutes=10),
)


def deploy() -> tuple[UUID, Automation]:
    deployment = load_warehouse.to_deployment("nightly-with-alert").apply()
    alert = Automation(name="load-is-slow", trigger=SLOW, actions=[DoNothing()])
    return deployment, alert.create()


if __name__ == "__main__":
    deployment, alert = deploy()
    with get_client(sync_client=True) as api:
        print("The deployment:", api.read_deployment(deployment).name)
        print("Its alert:", Automation.read(alert.id).name)
        alert.delete()
        api.delete_deployment(deployment)
