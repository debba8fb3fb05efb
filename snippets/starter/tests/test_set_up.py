from collections.abc import Callable
from datetime import timedelta

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.events import Resource, ResourceSpecification
from prefect.events.schemas.automations import EventTrigger, Posture
from pydantic import ValidationError

from daily_sales import automations, set_up
from daily_sales.cli import main
from daily_sales.flows import SHOP_LIMIT


@pytest.fixture
def trigger(ready: None) -> Callable[[str], EventTrigger]:
    """What the server has as the trigger of an automation."""

    def read(name: str) -> EventTrigger:
        with get_client(sync_client=True) as client:
            (automation,) = client.read_automations_by_name(name)
        assert isinstance(automation.trigger, EventTrigger)
        assert automation.enabled and automation.actions
        return automation.trigger

    return read


def test_twice_is_as_good_as_once(ready: None) -> None:
    with get_client(sync_client=True) as client:
        before = {each.name: each.id for each in client.read_automations()}
        update = WorkPoolUpdate(concurrency_limit=3)
        client.update_work_pool(set_up.POOL, update)
        main(["set-up"])
        after = {each.name: each.id for each in client.read_automations()}
        pool = client.read_work_pool(set_up.POOL)
        limit = client.read_global_concurrency_limit_by_name(SHOP_LIMIT)
    assert before == after and len(before) == 4
    assert pool.type == "process" and pool.concurrency_limit == 3
    assert limit.limit == 2 and limit.active


def test_a_missing_setting_stops_it_before_anything_is_made(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAILY_SALES_ALERT_URL")
    with pytest.raises(ValidationError, match="alert_url"):
        main(["set-up"])


def test_secrets_are_kept_as_secrets(ready: None) -> None:
    token = Secret.load(set_up.CLONE)
    alerts = CustomWebhookNotificationBlock.load(set_up.ALERTS)
    assert token.get() == "none"  # type: ignore[union-attr]
    assert "/alerts" not in str(alerts)


@pytest.mark.parametrize(
    ("state", "alerts"),
    [
        ("Failed", True),
        ("TimedOut", True),
        ("Crashed", True),
        ("Completed", False),
        ("Cancelled", False),
    ],
)
def test_a_bad_end_is_told_by_its_type(
    trigger: Callable[[str], EventTrigger], state: str, alerts: bool
) -> None:
    kind = {"TimedOut": "FAILED"}.get(state, state.upper())
    ended = Resource(
        {
            "prefect.resource.id": "prefect.flow-run.1",
            "prefect.state-type": kind,
        }
    )
    failed = trigger("daily-sales-failed")
    assert failed.posture == Posture.Reactive and failed.threshold == 1
    assert failed.expect == {"prefect.flow-run.*"}
    assert isinstance(failed.match, ResourceSpecification)
    assert failed.match.matches(ended) is alerts


def test_a_silent_run_is_crashed(
    trigger: Callable[[str], EventTrigger],
) -> None:
    zombie = trigger("daily-sales-zombie")
    assert zombie.posture == Posture.Proactive
    assert zombie.within == timedelta(minutes=9)
    assert zombie.for_each == {"prefect.resource.id"}
    assert zombie.after == {
        "prefect.flow-run.Running",
        "prefect.flow-run.heartbeat",
    }
    assert zombie.expect == {"prefect.flow-run.*"}


def test_a_night_without_a_load_is_told(
    trigger: Callable[[str], EventTrigger],
) -> None:
    absent, late = trigger("daily-sales-absent"), trigger("daily-sales-late")
    assert absent.posture == Posture.Proactive
    assert absent.within == timedelta(hours=26)
    assert absent.expect == absent.after == {"prefect.flow-run.Completed"}
    assert late.posture == Posture.Reactive
    assert late.expect == {"prefect.flow-run.Late"}
    nightly = [ResourceSpecification(each) for each in automations.NIGHTLY]
    assert late.match_related == absent.match_related == nightly
