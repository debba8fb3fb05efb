"""What a test reads back from the API: the harm and the cure as recorded there.

The client hands task runs and logs to background threads, and the server
stores them when it gets to it. So the record of a run that has just ended is
not complete at once; `settles` waits until it says what the test expects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx
from prefect.automations import Automation, EventTrigger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import LogSort, TaskRunSort
from prefect.events import Event
from prefect.events.actions import PauseAutomation
from prefect.events.worker import EventsWorker
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    temporary_settings,
)

from tests.backend import patient

T = TypeVar("T")

# What people make on a server and what stays there: its kind and where the API
# has it.
KEPT = {
    "automation": "automations",
    "concurrency limit": "v2/concurrency_limits",
    "limit of a tag": "concurrency_limits",
    "deployment": "deployments",
    "variable": "variables",
    "block": "block_documents",
    "work pool": "work_pools",
}


@contextmanager
def client_of(
    url: str | None, password: str | None = None
) -> Iterator[SyncPrefectClient]:
    """Let Prefect in this process use another server, and yield a client of it.

    What sends events stays with the server that it first sent to, whatever the
    settings say later. So it begins anew here, and again for the next test.

    Args:
        url: The address of its API.
        password: What its `PREFECT_SERVER_API_AUTH_STRING` says.
    """
    settings = {PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: password}
    EventsWorker.drain_all()
    with temporary_settings(settings), get_client(sync_client=True) as client:
        try:
            yield client
        finally:
            EventsWorker.drain_all()


def settles(probe: Callable[[], T], expected: T, seconds: float = 30) -> None:
    """Assert that `probe` returns `expected` before the time is over.

    Args:
        probe: Reads the API.
        expected: What it must return.
        seconds: How long it may take on a quiet machine.
    """
    began = time.monotonic()
    deadline = began + patient(seconds)
    while (seen := probe()) != expected and time.monotonic() < deadline:
        # Each look takes the server's time: who waits long looks less often.
        time.sleep(min(0.5, max(0.1, (time.monotonic() - began) / 10)))
    assert seen == expected, f"it stays {seen!r} and is not {expected!r}"


def automations_act(api: SyncPrefectClient) -> None:
    """Wait until the server acts on the automations that it has.

    It stores an automation, answers, and takes up one after the other in the
    background. So one that is made now, and acts, is the last of them.
    """
    name = "the-last-automation"
    last = Automation(
        name=name,
        trigger=EventTrigger(expect={name}),
        actions=[PauseAutomation(source="inferred")],
    ).create()
    resource = {"prefect.resource.id": f"prefect.automation.{last.id}"}

    def is_paused() -> bool:
        event = Event(event=name, resource=resource).model_dump(mode="json")
        api.request("POST", "/events", json=[event])
        return not api.read_automation(last.id).enabled

    settles(is_paused, True)
    last.delete()


def task_runs(
    api: SyncPrefectClient, state: State
) -> list[tuple[str, str, int]]:
    """List the task runs of a flow run as the API has them.

    Args:
        api: The client.
        state: A state of the flow run, as `flow(return_state=True)` gives it.

    Returns:
        Name of the task, name of its run's state and how often that run
        was tried, sorted.
    """
    this_run = FlowRunFilter(id=FlowRunFilterId(any_=[_run_id(state)]))
    found = api.read_task_runs(
        flow_run_filter=this_run, sort=TaskRunSort.ID_DESC, limit=200
    )
    return sorted(
        (run.name[:-4], run.state_name or "", run.run_count) for run in found
    )


def log_messages(api: SyncPrefectClient, state: State) -> list[str]:
    """List the log messages of a flow run as the API has them, in order."""
    found = api.read_logs(
        LogFilter(flow_run_id=LogFilterFlowRunId(any_=[_run_id(state)])),
        sort=LogSort.TIMESTAMP_ASC,
        limit=200,
        offset=0,
    )
    return [log.message for log in found]


def _run_id(state: State):
    assert state.state_details.flow_run_id is not None
    return state.state_details.flow_run_id


def kept(url: str) -> Iterator[tuple[str, str, str]]:
    """List what stands on a server until somebody takes it away.

    Args:
        url: The address of its API.

    Yields:
        The kind, the name, and the address to delete.
    """
    # One client for all questions: to make one takes longer than to ask.
    with httpx.Client(base_url=url, timeout=patient(5)) as client:
        for kind, path in KEPT.items():
            answer = client.post(f"{path}/filter", json={"limit": 200})
            for found in answer.raise_for_status().json():
                name = found.get("name") or found.get("tag") or found["id"]
                which = name if kind == "work pool" else found["id"]
                yield kind, name, f"{url}/{path}/{which}"


def clear(url: str) -> None:
    """Take away all that stands on a server."""
    for *_, address in kept(url):
        httpx.delete(address, timeout=patient(5))
