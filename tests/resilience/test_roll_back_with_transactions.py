from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.sorting import TaskRunSort
from prefect.states import Failed
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from prefect.transactions import get_transaction, transaction

from tests.observe import settles
from tests.programs import run_program

DONE = ("Completed", "COMPLETED", "")
ROLLED_BACK = (
    "RolledBack",
    "COMPLETED",
    "Task rolled back as part of transaction",
)


@pytest.fixture
def retry_inside(do, monkeypatch):
    module = import_module("retry_inside")
    monkeypatch.setattr(module, "bank", iter(["down", "up"]))
    monkeypatch.setattr(module, "charges", [])
    monkeypatch.setitem(module.stock, "tea", 3)
    return module


def reservations(api, state):
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
    return [
        (run.state.name, run.state.type.value, run.state.message)
        for run in api.read_task_runs(
            flow_run_filter=this_run, sort=TaskRunSort.ID_DESC, limit=9
        )
        if run.state and run.name.startswith("reserve")
    ]


def test_a_hook_without_a_transaction_undoes_nothing(dont, caplog):
    """A flow that fails in the middle leaves its first steps done, unless a
    transaction holds them and each has a hook that undoes it.

    When `charge_card` fails later, no transaction is open that could be rolled
    back, so the hook is never called.
    """
    assert dont.sell("order-7", return_state=True).is_failed()

    assert dont.stock == {"tea": 2, "milk": 4}
    assert "rollback" not in caplog.text


def test_task_runs_commit_at_once_or_when_the_block_ends(dont, do, monkeypatch):
    """Each task run is a transaction of its own. `reserve` ends without an
    error, so its transaction is committed at once.

    Now the task runs commit only when the block ends.
    """
    for program, expected in (
        (dont, ["committed", "committed", "charged"]),
        (do, ["charged", "committed", "committed"]),
    ):
        steps = []

        @program.reserve.on_commit
        def note(reservation, steps=steps):
            steps.append("committed")

        def charge(order, steps=steps):
            steps.append("charged")

        monkeypatch.setattr(program, "charge_card", charge)
        program.sell("order-7")
        assert steps == expected


def test_a_transaction_undoes_what_was_done_the_newest_first(do, api, caplog):
    """A flow that fails in the middle leaves its first steps done, unless a
    transaction holds them and each has a hook that undoes it.

    If an exception leaves the block, Prefect calls their hooks instead, the
    newest first. A hook gets the transaction of its task run, so it can read
    there what the task has `set`.

    A `RolledBack` task run has a state of type `COMPLETED`. If you count states
    by type, it counts as done.
    """
    undone = []

    @do.reserve.on_rollback
    def note(reservation):
        undone.append(reservation.get("item"))

    state = do.sell("order-7", return_state=True)

    assert state.is_failed()
    assert do.stock == {"tea": 3, "milk": 5}
    assert undone == ["milk", "tea"]
    assert caplog.messages.count("Running rollback hook 'release'") == 2
    settles(lambda: reservations(api, state), [ROLLED_BACK, ROLLED_BACK])


def test_the_hook_of_the_task_that_failed_is_not_called(do):
    """The hook of the task that failed is not called."""
    refunds = []
    do.charge_card.on_rollback(refunds.append)
    do.sell("order-7", return_state=True)

    assert refunds == []
    assert do.stock == {"tea": 3, "milk": 5}


def test_an_error_in_a_hook_skips_only_the_older_hooks_of_its_task(
    do, api, caplog
):
    """If a hook raises, the error is only in the log. The older hooks of the
    same task are skipped, and its run stays `Completed`. The hooks of the other
    tasks run.
    """

    @do.reserve.on_rollback
    def forget_milk(reservation):
        if reservation.get("item") == "milk":
            raise ConnectionError("the warehouse does not answer")

    state = do.sell("order-7", return_state=True)

    message = (
        "An error was encountered while running rollback hook 'forget_milk'"
    )
    assert message in caplog.messages
    assert "the bank refuses the card" in state.message
    assert do.stock == {"tea": 3, "milk": 4}
    settles(lambda: sorted(reservations(api, state)), [DONE, ROLLED_BACK])


@task
def step(file):
    get_transaction().set("file", file)


@step.on_rollback
def undo(transaction_of_step):
    Path(transaction_of_step.get("file")).touch()


@task
def fail():
    raise ConnectionError


def fail_and_catch():
    with suppress(ConnectionError):
        fail()


def fail_and_retry():
    tries = iter([fail.fn, lambda: None])
    task(retries=1)(lambda: next(tries)())()


def before_and_after(folder, happens, runner):
    before, after = folder / "before", folder / "after"
    at_once = []

    @flow(task_runner=runner)
    def sell():
        with transaction():
            step.submit(before).wait()
            happens()
            at_once.append(before.exists())
            step.submit(after).wait()
            raise PermissionError

    folder.mkdir()
    assert sell(return_state=True).is_failed()
    if at_once[0]:
        first = "undone at once"
    else:
        first = "undone" if before.exists() else "stays"
    return [first, "undone" if after.exists() else "stays"]


THREADS = ThreadPoolTaskRunner()
INCIDENTS = {
    "nothing happens": lambda: None,
    "a task fails, and you catch its exception": fail_and_catch,
    "a task fails, and you take its state": lambda: fail(return_state=True),
    "a task fails, and its retry succeeds": fail_and_retry,
    "a task returns `Failed`": task(lambda: Failed()),
    "a subflow fails, none of its tasks does, and you take its state": (
        lambda: flow(fail.fn)(return_state=True)
    ),
}


def test_a_failure_ends_the_protection(tmp_path, table):
    """A transaction protects your work only until a task in it fails for the
    first time. A failed task run rolls back all that was done so far, even if
    you catch its exception or its retry succeeds. The block goes on, but what
    it does from then on is not undone any more.

    Let none of them retry, catch none of their failures, and call them or
    submit them to threads. Otherwise the transaction does not protect them.
    """
    rows = [
        [words, *before_and_after(tmp_path / words, happens, THREADS)]
        for words, happens in INCIDENTS.items()
    ]
    processes = ProcessPoolTaskRunner(max_workers=1)
    in_processes = before_and_after(
        tmp_path / "processes", INCIDENTS["nothing happens"], processes
    )
    rows.append(["the tasks are submitted to processes", *in_processes])

    head = ["In the block", "What was done before", "What is done after"]
    table("incidents.md", head, rows)


def test_a_failed_attempt_rolls_back_although_its_retry_succeeds(retry_inside):
    """The card is charged, the run is `Completed`, and the tea is free again,
    so it will be sold twice.
    """
    assert retry_inside.charge_card.retries == 1
    assert retry_inside.sell_tea("order-7", return_state=True).is_completed()
    assert retry_inside.charges == ["order-7"]
    assert retry_inside.stock == {"tea": 3}


def test_a_retry_of_the_flow_does_everything_again(retry_inside, monkeypatch):
    """Put `retries=1` on the flow instead. Its second attempt finds everything
    undone and does all of it again.
    """
    no_retry = retry_inside.charge_card.with_options(retries=0)
    monkeypatch.setattr(retry_inside, "charge_card", no_retry)
    sell_tea = retry_inside.sell_tea.with_options(retries=1)

    assert sell_tea("order-7", return_state=True).is_completed()
    assert retry_inside.charges == ["order-7"]
    assert retry_inside.stock == {"tea": 2}


def test_a_killed_process_calls_no_hook(do, tmp_path):
    """It is safer, because a process that is killed calls no rollback hook."""
    fails = 'raise PermissionError("the bank refuses the card")'
    killed = "import os; os.kill(os.getpid(), 9)"
    text = Path(do.__file__).read_text("utf-8")
    assert fails in text
    program = tmp_path / "killed.py"
    program.write_text(text.replace(fails, killed))
    run = run_program(program, tmp_path)

    assert run.returncode == -9
    assert "Finished in state Completed()" in run.stderr
    assert "rollback" not in run.stderr
