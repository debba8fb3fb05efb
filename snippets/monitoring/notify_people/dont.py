import chat
from prefect import flow
from prefect.automations import Automation, EventTrigger, SendNotification
from prefect.blocks.notifications import CustomWebhookNotificationBlock

TEXT = "{{ flow.name }}: {{ flow_run.message }}. See {{ flow_run | ui_url }}"


@flow
def copy_timetable(line: int) -> None:
    raise ConnectionError("the operator's server is down")


def create_automation() -> Automation:
    block_id = CustomWebhookNotificationBlock(
        name="timetables",
        url="{{ address }}",
        secrets={"address": chat.url},
        json_data={"text": "{{ body }}"},
    ).save("timetables", overwrite=True)
    return Automation(
        name="timetables",
        trigger=EventTrigger(
            expect={"prefect.flow-run.*"},
            match={"prefect.state-type": ["FAILED", "CRASHED"]},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": copy_timetable.name,
            },
        ),
        actions=[SendNotification(block_document_id=block_id, body=TEXT)],
    ).create()


if __name__ == "__main__":
    automation = create_automation()
    for line in 5, 7, 12:
        copy_timetable(line, return_state=True)
    seconds = 60
    while (message := chat.next_message(seconds)) != "no message":
        print(message)
        seconds = 10
    automation.delete()
    CustomWebhookNotificationBlock.delete("timetables")
