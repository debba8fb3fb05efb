"""Who is told of what: the automations of the flow."""

from datetime import timedelta
from uuid import UUID

from prefect.automations import (
    AutomationCore,
    ChangeFlowRunState,
    EventTrigger,
    Posture,
    SendNotification,
)
from prefect.client.orchestration import SyncPrefectClient

from daily_sales.flows import load_daily_sales

STATE = """{{ flow_run.name }} is {{ flow_run.state.name }}.
{{ flow_run.state.message }}
{{ flow_run|ui_url }}"""
HEARTBEAT = "prefect.flow-run.heartbeat"
SILENT = "No heartbeat."


def named(role: str, name: str) -> dict[str, str]:
    """What an event has if it is about a run of this flow or deployment."""
    return {"prefect.resource.role": role, "prefect.resource.name": name}


FLOW = named("flow", load_daily_sales.name)
NIGHTLY = [FLOW, named("deployment", "nightly")]


def all_automations(
    alert: UUID, silence: timedelta, absence: timedelta
) -> list[AutomationCore]:
    """The automations that watch over the flow.

    Args:
        alert: The block that sends a text to the team.
        silence: How long a run may send no heartbeat until it is crashed.
        absence: How long after a nightly load the next must have completed.
    """

    def tell(body: str) -> SendNotification:
        subject = "{{ automation.name }}"
        return SendNotification(
            block_document_id=alert, subject=subject, body=body
        )

    return [
        AutomationCore(
            name="daily-sales-failed",
            description="A run ended badly, whatever its state is called.",
            trigger=EventTrigger(
                posture=Posture.Reactive,
                expect={"prefect.flow-run.*"},
                match={"prefect.state-type": ["FAILED", "CRASHED"]},
                match_related=FLOW,
            ),
            actions=[tell(STATE)],
        ),
        AutomationCore(
            name="daily-sales-zombie",
            description="A run is silent, so its process has gone.",
            trigger=EventTrigger(
                posture=Posture.Proactive,
                after={"prefect.flow-run.Running", HEARTBEAT},
                expect={"prefect.flow-run.*"},
                for_each={"prefect.resource.id"},
                match_related=FLOW,
                within=silence,
            ),
            actions=[ChangeFlowRunState(state="CRASHED", message=SILENT)],
        ),
        AutomationCore(
            name="daily-sales-late",
            description="No worker has started a nightly run.",
            trigger=EventTrigger(
                posture=Posture.Reactive,
                expect={"prefect.flow-run.Late"},
                match_related=NIGHTLY,
            ),
            actions=[tell(STATE)],
        ),
        AutomationCore(
            name="daily-sales-absent",
            description="No nightly run has completed, or none was planned.",
            trigger=EventTrigger(
                posture=Posture.Proactive,
                after={"prefect.flow-run.Completed"},
                expect={"prefect.flow-run.Completed"},
                match_related=NIGHTLY,
                within=absence,
            ),
            actions=[tell(f"No nightly load has completed for {absence}.")],
        ),
    ]


def save(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Create an automation, or replace the one that has its name."""
    for found in client.read_automations_by_name(automation.name):
        client.update_automation(found.id, automation)
        return
    client.create_automation(automation)
