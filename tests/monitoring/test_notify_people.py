import json
from datetime import timedelta
from uuid import uuid4

import pytest
from prefect import flow
from prefect.automations import Automation, EventTrigger, SendNotification
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.notifications import (
    CustomWebhookNotificationBlock,
    SlackWebhook,
)
from prefect.states import Failed

from tests.backend import patient
from tests.observe import automations_act, settles

NAME = "copy-timetable"
REASON = (
    "Flow run encountered an exception: ConnectionError: the operator's server"
    " is down"
)


class Pager(NotificationBlock):
    """A block of which the server has no class."""

    _block_type_slug = "own-pager"

    def notify(self, body, subject=None):
        raise AssertionError("the server cannot call this")


@pytest.fixture
def automated(api):
    """Let an automation act, and delete it after the test."""
    created = []

    def create(automation):
        created.append(automation)
        automations_act(api)
        return automation

    yield create
    for automation in created:
        automation.delete()


@pytest.fixture
def saved(api):
    """Save a block and delete it after the test."""
    blocks = []

    def save(block):
        blocks.append(block.save(f"timetables-{uuid4()}"))
        return blocks[-1]

    yield save
    for block in blocks:
        api.delete_block_document(block)


@pytest.fixture
def timetables(do, saved):
    """The block of the program."""

    def save():
        return saved(
            CustomWebhookNotificationBlock(
                name="timetables",
                url="{{ address }}",
                secrets={"address": do.chat.url},
                json_data={"text": "{{ subject }}|{{ body }}"},
            )
        )

    return save


@pytest.fixture
def report(api):
    """Tell the server of a failed run of a flow."""

    def report(name, state=None, **parameters):
        run = api.create_flow_run(
            flow(lambda line=0: None, name=name), parameters=parameters
        )
        api.set_flow_run_state(run.id, state or Failed())
        return run.id

    return report


def sends(block, body, *names, **options):
    return Automation(
        name="timetables-of-a-test",
        trigger=EventTrigger(
            expect={"prefect.flow-run.*"},
            match={"prefect.state-type": ["FAILED", "CRASHED"]},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": list(names) or NAME,
            },
            **options,
        ),
        actions=[SendNotification(block_document_id=block, body=body)],
    ).create()


def failures(api, automation):
    events = {
        "event": {"name": ["prefect.automation.action.failed"]},
        "resource": {"id": [f"prefect.automation.{automation.id}"]},
    }
    found = api.request(
        "POST", "/events/filter", json={"filter": events}
    ).json()["events"]
    return [event["payload"] for event in found]


def test_a_message_without_a_reason_comes_for_each_run(dont, automated):
    """A name that a template does not know becomes nothing, and each failed
    run sends a message, so people get many that say little.

    `ui_url` is `None` if the server does not know `PREFECT_UI_URL`.
    """
    automated(dont.create_automation())
    for line in 5, 7:
        dont.copy_timetable(line, return_state=True)

    said = [dont.chat.next_message(patient(60)) for _ in range(2)]
    assert said == [f"{NAME}: . See None"] * 2
    dont.CustomWebhookNotificationBlock.delete("timetables")


def test_one_message_says_what_why_and_where(do, automated, report, api):
    """With `within`, the first event sends the message at once, and those that
    follow in that time send none.
    """
    automation = automated(do.create_automation())
    assert automation.name == "timetables"
    assert automation.trigger.within == timedelta(hours=1)
    assert automation.trigger.threshold == 1
    assert automation.trigger.expect == {"prefect.flow-run.*"}
    assert automation.trigger.match.root == {
        "prefect.state-type": ["FAILED", "CRASHED"]
    }
    report("copy-fares")
    state = do.copy_timetable(5, return_state=True)
    message = do.chat.messages.get(timeout=patient(60))
    assert message == (
        f"{NAME} {{'line': 5}}\n{REASON}\nhttps://prefect.example/runs"
        f"/flow-run/{state.state_details.flow_run_id}"
    )

    do.copy_timetable(7, return_state=True)
    last = automated(do.create_automation())
    do.copy_timetable(12, return_state=True)
    assert "{'line': 12}" in do.chat.next_message(patient(60))
    assert do.chat.messages.empty()
    assert last.id != automation.id
    block = api.read_block_document(last.actions[0].block_document_id, False)
    assert block.data["name"] == "timetables"
    assert block.data["url"] == "{{ address }}"
    assert do.chat.url not in json.dumps(block.data)
    do.CustomWebhookNotificationBlock.delete("timetables")


def test_for_each_counts_each_flow_alone(
    do, automated, report, timetables, api
):
    """An automation for many flows needs
    `for_each={"related:flow:prefect.resource.id"}`, or the first flow that
    fails silences the others.
    """
    options = {"within": timedelta(hours=1)}
    names = ["copy-fares", "copy-stops"]
    text = "{{ flow.name }}"
    automated(sends(timetables(), "all " + text, *names, **options))
    each = {"related:flow:prefect.resource.id"}
    automated(
        sends(timetables(), "each " + text, *names, for_each=each, **options)
    )
    for name in [*names, *names]:
        report(name)

    said = {do.chat.next_message(patient(60)) for _ in range(3)}
    subject = "Prefect automated notification|"
    assert said == {
        f"{subject}all copy-fares",
        f"{subject}each copy-fares",
        f"{subject}each copy-stops",
    }
    assert do.chat.next_message(seconds=1) == "no message"


def test_what_a_template_knows(do, automated, report, timetables, table):
    """`flow_run` has no `message`, and the template leaves it out without a
    word.

    What a message can say of a run that failed, here of one without a
    deployment:
    """
    names = [
        "flow.name",
        "flow_run.parameters",
        "flow_run.state.name",
        "flow_run.state.message",
        "flow_run | ui_url",
        "deployment.name",
        "event.event",
        "flow_run.message",
        "run.state.message",
    ]
    body = "|".join("{{ " + name + " }}" for name in names)
    automated(sends(timetables(), body))
    report(NAME, Failed(name="NoAnswer", message="no answer"), line=5)

    subject, *said = do.chat.next_message(patient(60)).split("|")
    assert subject == "Prefect automated notification"
    table(
        "names.md",
        ["In the template", "In the message"],
        [
            [f"`{{{{ {name} }}}}`", f"`{text}`" if text else "nothing"]
            for name, text in zip(names, said, strict=True)
        ],
    )


def test_a_message_that_is_not_sent_leaves_an_event_or_a_line(
    do, automated, report, timetables, saved, api, monkeypatch
):
    """A Slack block that cannot send is not tried again. The server makes an
    event `prefect.automation.action.failed`, in which a `reason` and a
    `notification_log` stand.

    On a server without Redis, a custom webhook that is answered with an error
    is tried four times, and then not even an event says so.

    If it has no class, the reason in the event is `UnknownBlockType`.
    """
    monkeypatch.setattr(do.chat.Chat, "answer", 500)
    custom = automated(sends(timetables(), "custom"))
    slack = automated(sends(saved(SlackWebhook(url=do.chat.url)), "slack"))
    own = automated(sends(saved(Pager()), "own"))
    run = report(NAME)

    settles(lambda: len(failures(api, slack)), 1)
    (failed,) = failures(api, slack)
    assert failed["reason"] == "Notification failed"
    assert "There are no service(s) to notify" in failed["notification_log"]
    settles(lambda: len(failures(api, own)), 1)
    (failed,) = failures(api, own)
    assert failed["reason"] == (
        'The notification block was invalid: UnknownBlockType("No block class'
        " found for slug 'own-pager'. Please ensure that the block class is"
        ' available in the current environment.")'
    )
    tries = [do.chat.next_message(patient(60)) for _ in range(4)]
    assert tries == ["Prefect automated notification|custom"] * 4
    assert do.chat.next_message(seconds=3) == "no message"
    assert failures(api, custom) == []
    api.delete_flow_run(run)


def test_the_address_is_a_secret_only_as_a_secret(do, saved, api):
    """The address is a password: who has it can write in your channel. The
    `url` of a `SlackWebhook` is hidden in the API, and the `url` of a custom
    webhook is not, so it stands in `secrets` here.
    """
    url = do.chat.url
    for block, shown in [
        (SlackWebhook(url=url), "********"),
        (CustomWebhookNotificationBlock(name="timetables", url=url), url),
    ]:
        stored = api.read_block_document(saved(block), False)
        assert stored.data["url"] == shown
