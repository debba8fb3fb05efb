"""The flow, and the tasks that connect it with the world."""

import os
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from prefect import flow, get_run_logger, runtime, tags, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.futures import wait
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff
from sqlalchemy.exc import OperationalError

from daily_sales import sources, table
from daily_sales.settings import Settings

SHOP = "web-shop"
SHOP_LIMIT = "daily-sales-web-shop"
TIME_ZONE = ZoneInfo("Europe/Berlin")


def is_transient(task: object, task_run: object, state: State[Any]) -> bool:
    """Whether what went wrong can go well a moment later."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in {429, 500, 502, 503, 504}
    return isinstance(error, httpx.TransportError | OperationalError)


def task_runner() -> TaskRunner[Any]:
    """Threads, or the Dask cluster that `DAILY_SALES_DASK_SCHEDULER` names."""
    address = os.environ.get("DAILY_SALES_DASK_SCHEDULER")
    if not address:
        return ThreadPoolTaskRunner(max_workers=4)
    from prefect_dask.task_runners import DaskTaskRunner

    return DaskTaskRunner(address=address)


def day_of_run() -> date:
    """The day that the flow run is for.

    Without a parameter it is the day before the planned start, so that a run
    that begins late, or begins again, is for the same day.
    """
    if day := runtime.flow_run.parameters.get("day"):
        return date.fromisoformat(str(day))
    start: datetime = runtime.flow_run.scheduled_start_time
    return start.astimezone(TIME_ZONE).date() - timedelta(days=1)


def run_name() -> str:
    """A name that says which day a flow run is for."""
    return f"sales of {day_of_run()}"


@task(
    cache_policy=INPUTS + TASK_SOURCE,
    cache_expiration=timedelta(hours=1),
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.5,
    retry_condition_fn=is_transient,
)
def fetch_orders(day: date) -> list[sources.Order]:
    """Ask the web shop for its orders, or take its answer of the last hour."""
    shop = sources.web_shop(Settings())
    with concurrency(SHOP_LIMIT, strict=True), shop:
        return sources.fetch_orders(shop, day)


@task(task_run_name="read-{file.name}", cache_policy=NO_CACHE)
def read_orders(file: Path) -> list[sources.Order]:
    """Read the file of a store."""
    return sources.read_orders(file)


@task(
    task_run_name="save-{source}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.5,
    retry_condition_fn=is_transient,
)
def save_orders(source: str, day: date, orders: list[sources.Order]) -> None:
    """Store the orders of a source."""
    with table.connected(Settings().database_url) as connection:
        table.save_orders(connection, source, day, orders)
    get_run_logger().info("Saved %d orders of %s.", len(orders), source)


@task(
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.5,
    retry_condition_fn=is_transient,
)
def publish_report(day: date, missing: Sequence[str]) -> None:
    """Show what each source sold, on the page of the flow run."""
    with table.connected(Settings().database_url) as connection:
        totals = table.read_totals(connection, day)
    create_table_artifact(
        key="daily-sales",
        table=[total._asdict() for total in totals],
        description=f"Sales of {day}. Missing: {', '.join(missing) or 'none'}.",
    )


@flow(flow_run_name=run_name, task_runner=task_runner())
def load_daily_sales(day: date | None = None, refresh: bool = False) -> None:
    """Load the orders of a day, and report what each source sold.

    Args:
        day: The day of the orders; without it the day before the run.
        refresh: Ask the web shop also if its last answer is not an hour old.

    Raises:
        FileNotFoundError: If no store has sent a file.
        RuntimeError: If a source could not be loaded. It names all of those;
            the others are loaded, and in the report.
    """
    day = day_of_run()
    files = sources.find_files(Settings().csv_folder, day)
    with tags(f"day:{day}"):
        fetch = fetch_orders.with_options(refresh_cache=refresh)
        found: dict[str, Any] = {SHOP: fetch.submit(day)}
        found |= {file.stem: read_orders.submit(file) for file in files}
        saved = {s: save_orders.submit(s, day, found[s]) for s in found}
        wait(list(saved.values()))
        missing = [s for s in saved if not saved[s].state.is_completed()]
        publish_report(day, missing)
    if missing:
        raise RuntimeError(f"Not loaded: {', '.join(missing)}.")
