from datetime import timedelta

import stock
from prefect.automations import Automation, ChangeFlowRunState, EventTrigger


def create_automation(within: timedelta) -> Automation:
    return Automation(
        name="crash-stock-zombies",
        trigger=EventTrigger(
            posture="Proactive",
            after={"prefect.flow-run.Running", "prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            within=within,
            for_each={"prefect.resource.id"},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": stock.count_stock.name,
            },
        ),
        actions=[ChangeFlowRunState(state="CRASHED", message="no heartbeat")],
    ).create()


if __name__ == "__main__":
    # Ten seconds are for this example. See below: three heartbeats.
    automation = create_automation(within=timedelta(seconds=10))
    run_id, process = stock.start()
    process.kill()
    print(f"After kill -9: {stock.next_state(run_id, wait=30)}")
    automation.delete()
