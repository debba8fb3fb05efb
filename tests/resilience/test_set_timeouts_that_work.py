import asyncio
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from prefect import flow, task
from prefect._internal.concurrency import cancellation
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner


def test_a_submitted_task_waits_for_the_answer_and_throws_it_away(dont, caplog):
    """A task's timeout cannot interrupt a thread that waits for a service, so
    set the timeout on the client that waits.

    A submitted task runs in a thread.

    The answer comes after three seconds. Then the exception is raised, and the
    answer is thrown away.
    """
    assert dont.load_rates() == "TimedOut"

    assert len(dont.slow_rates.answers) == 1
    assert "Task run exceeded timeout of 1.0 second(s)" in caplog.messages
    assert (
        "Timeout of 1.0 seconds configured for this task, but the task is"
        " running in a worker thread." in caplog.text
    )


def test_a_timeout_of_the_client_ends_the_wait(do, caplog, monkeypatch):
    """A task's timeout cannot interrupt a thread that waits for a service, so
    set the timeout on the client that waits.

    The task fails after one second with `ReadTimeout`.
    """
    waits = []
    get = httpx.get
    monkeypatch.setattr(
        httpx, "get", lambda *a, **k: waits.append(k) or get(*a, **k)
    )
    assert do.load_rates() == "Failed"

    assert do.slow_rates.answers == []
    assert waits == [{"timeout": 1}]
    assert "ReadTimeout" in caplog.text


def test_the_service_needs_three_seconds(do, monkeypatch):
    """The service needs three seconds to answer."""
    naps = []
    monkeypatch.setattr(do.slow_rates.time, "sleep", naps.append)

    assert httpx.get(do.slow_rates.url).status_code == 200
    assert naps == [3]


@contextmanager
def measured(file):
    begin = time.monotonic()
    try:
        yield
    finally:
        Path(file).write_text(str(time.monotonic() - begin))


@task(timeout_seconds=0.5)
def block(seconds, file):
    with measured(file):
        time.sleep(seconds)


@task(timeout_seconds=0.5)
def loop(seconds, file):
    with measured(file):
        for _ in range(100):
            time.sleep(seconds / 100)


@task(timeout_seconds=0.5)
async def block_in_async(seconds, file):
    with measured(file):
        time.sleep(seconds)


@task(timeout_seconds=0.5)
async def wait_in_async(seconds, file):
    with measured(file):
        await asyncio.sleep(seconds)


def call(a_task, *arguments):
    return a_task(*arguments, return_state=True).name


def submit(a_task, *arguments):
    future = a_task.submit(*arguments)
    future.wait()
    return future.state.name


def in_a_flow(start, a_task, runner=ThreadPoolTaskRunner, **options):
    return flow(
        lambda *arguments: start(a_task, *arguments),
        name="load-rates",
        task_runner=runner(max_workers=1),
        **options,
    )


def alone(wait):
    """A flow run that waits, and how it ends."""

    def run(seconds, file):
        with measured(file):
            limited = flow(wait, name="wait", timeout_seconds=0.5)
            return limited(seconds, return_state=True).name

    return run


def wait_for_a_task(seconds):
    task(lambda: time.sleep(seconds)).submit().wait()


# A wait of 30 seconds is one that must not last.
CASES = [
    ("a task that is called, and waits", 30, in_a_flow(call, block)),
    (
        "a task that is called in a flow with `timeout_seconds`, and waits",
        1,
        in_a_flow(call, block, timeout_seconds=60),
    ),
    ("a task that is submitted, and waits", 1, in_a_flow(submit, block)),
    (
        "a task that is submitted, and loops over short steps",
        30,
        in_a_flow(submit, loop),
    ),
    (
        "a task that is submitted to a [process"
        " pool][prefect.task_runners.ProcessPoolTaskRunner], and waits",
        30,
        in_a_flow(submit, block, ProcessPoolTaskRunner),
    ),
    ("an `async` task that awaits", 30, in_a_flow(submit, wait_in_async)),
    (
        "an `async` task that waits without `await`",
        1,
        in_a_flow(submit, block_in_async),
    ),
    ("a flow that waits", 30, alone(lambda seconds: time.sleep(seconds))),
    ("a flow that waits for a submitted task", 1, alone(wait_for_a_task)),
]


def test_only_what_can_be_interrupted_stops_in_time(tmp_path, table):
    """A process has one alarm, so a task that is called in a flow with a
    timeout gets none. A flow run ends only when its submitted tasks that have
    begun have ended. Worst is the `async` task without `await`: its timeout
    acts only at an `await`, so it is `Completed` and nobody notices the delay.
    """
    rows = []
    for words, seconds, case in CASES:
        file = tmp_path / str(len(rows))
        state = case(seconds, str(file))
        in_time = float(file.read_text()) < seconds
        when = "time is up" if in_time else "the wait is over"
        rows.append([words, when, f"`{state}`"])
    table("timeouts.md", ["What has the timeout", "Ends when", "As"], rows)


def test_only_the_main_thread_has_an_alarm():
    """In the main thread Prefect uses an alarm signal, which does interrupt the
    wait.
    """

    @task(timeout_seconds=60)
    def has_alarm():
        return signal.getsignal(signal.SIGALRM) != signal.SIG_DFL

    @flow
    def look():
        return has_alarm(), has_alarm.submit().result()

    assert look() == (True, False)


@pytest.mark.parametrize(("start", "a_task"), [(call, block), (submit, loop)])
def test_without_interruption_sync_code_completes(
    tmp_path, monkeypatch, start, a_task
):
    """On Windows Prefect cannot interrupt sync code at all: the timeout of a
    sync task or flow does nothing, and the run ends `Completed`.
    """
    windows = SimpleNamespace(platform="win32")
    monkeypatch.setattr(cancellation, "sys", windows)
    limited = in_a_flow(start, a_task, timeout_seconds=0.2)

    state = limited(0.6, str(tmp_path / "spent"), return_state=True)
    assert state.name == "Completed"
    assert state.result() == "Completed"
