"""What the flow needs before its first run, made as often as you like."""

from contextlib import suppress
from typing import Any

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists

from daily_sales import automations, table
from daily_sales.flows import SHOP_LIMIT
from daily_sales.settings import SetUpSettings

POOL = "daily-sales"
CLONE = "daily-sales-clone-token"
ALERTS = "daily-sales-alerts"


def set_up() -> None:
    """Create the table, and what the Prefect server keeps for the flow.

    What is there already is brought up to date, except the work pool, because
    somebody may have changed it on purpose.

    Raises:
        pydantic.ValidationError: If a setting is missing. Then nothing is made.
    """
    settings = SetUpSettings()
    with table.connected(settings.database_url) as connection:
        table.METADATA.create_all(connection)
    Secret(value=settings.clone_token).save(CLONE, overwrite=True)
    alert: Any = CustomWebhookNotificationBlock(
        name=ALERTS,
        url="{{ address }}",
        secrets={"address": settings.alert_url.get_secret_value()},
        json_data={"text": "{{ subject }}\n{{ body }}"},
    ).save(ALERTS, overwrite=True)
    with get_client(sync_client=True) as client:
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        client.upsert_global_concurrency_limit_by_name(SHOP_LIMIT, limit=2)
        for automation in automations.all_automations(
            alert, settings.silence, settings.absence
        ):
            automations.save(client, automation)
