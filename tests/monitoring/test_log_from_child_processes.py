import json
import shutil
from pathlib import Path

import pytest
from prefect.settings.models.logging import LoggingToAPISettings

from tests.observe import log_messages, settles
from tests.programs import run_program

ROOM = Path("snippets/monitoring/log_from_child_processes").resolve()
FILES = ["a.csv", "b.csv", "c.csv"]
LINES = [f"{file} is complete" for file in FILES]
# Pools of one's own, in a program of its own: `do` imports what they call.
WAYS = """
import json
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from multiprocessing import get_context

import do
from prefect.context import FlowRunContext, with_context
from prefect.logging.handlers import APILogHandler

spawn = get_context("spawn")

def pool_in_a_block(files):
    with spawn.Pool(1) as pool:
        pool.map(with_context(do.check), files)

def pool_that_is_closed(files):
    with spawn.Pool(1) as pool:
        pool.map(with_context(do.check), files)
        pool.close()
        pool.join()

def threads_without(files):
    with ThreadPoolExecutor() as pool:
        list(pool.map(do.check, files))

def threads_with(files):
    with ThreadPoolExecutor() as pool:
        list(pool.map(with_context(do.check), files))

def threads_with_a_copy(files):
    with ThreadPoolExecutor() as pool:
        for file in files:
            pool.submit(copy_context().run, do.check, file)

def forked(files):
    def has_context():
        raise SystemExit(FlowRunContext.get() is None)

    child = get_context("fork").Process(target=has_context)
    child.start()
    child.join()
    assert child.exitcode == 0

if __name__ == "__main__":
    seen = {}
    for way in (
        forked,
        pool_in_a_block,
        pool_that_is_closed,
        threads_without,
        threads_with,
        threads_with_a_copy,
    ):
        state = do.flow(way)(["a.csv", "b.csv", "c.csv"], return_state=True)
        APILogHandler().flush()
        stored = sorted(do.stored_checks(state))
        seen[way.__name__] = state.name, state.message, stored
    print(json.dumps(seen))
"""
NO_CONTEXT = (
    "Flow run encountered an exception: MissingContextError:"
    " There is no active flow or task run context."
)


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    """What each way to start the work stored."""
    home = tmp_path_factory.mktemp("ways")
    program = home / "ways.py"
    program.write_text(WAYS)
    shutil.copy(ROOM / "do.py", home)
    run = run_program(program, home)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_without_the_context_a_child_process_cannot_log(dont, api):
    """A child process that is started anew does not know the flow run of its
    parent, so it cannot log to it.
    """
    state = dont.check_files(FILES, return_state=True)
    assert (state.name, state.message) == ("Failed", NO_CONTEXT)
    settles(lambda: "Finished" in "".join(log_messages(api, state)), True)
    assert dont.stored_checks(state) == []


def test_with_the_context_each_line_is_stored(do, api):
    """`with_context` packs the context of the run, and the child unpacks it
    before it calls the function.
    """
    state = do.check_files(FILES, return_state=True)
    assert state.name == "Completed"
    assert do.stored_checks(state) == LINES
    assert do.check_files.flow_run_name == "night check"


def test_a_forked_child_has_the_context(ways):
    """A child that is forked has a copy of all that its parent had, also the
    context.
    """
    assert ways["forked"][0] == "Completed"


def test_how_the_work_is_started_decides_what_is_stored(ways, table):
    """A process sends its lines in batches, by default every two seconds. So
    `with multiprocessing.Pool()` loses the last lines, because it ends its
    processes without waiting for them. Call `close` and `join` in the block.

    `get_run_logger` looks for the run in the context of the process and of the
    thread that call it. A thread of your own has no context either.
    """
    assert LoggingToAPISettings.model_fields["batch_interval"].default == 2
    for way in "pool_that_is_closed", "threads_with", "threads_with_a_copy":
        assert ways[way] == ["Completed", None, LINES]
    assert ways["threads_without"] == ["Failed", NO_CONTEXT, []]
    state, _, stored = ways["pool_in_a_block"]
    assert state == "Completed" and len(stored) < 3
    table(
        "ways.md",
        ["What runs `with_context(check)`", "Lines of 3 stored"],
        [
            ["`ProcessPoolExecutor`", "3"],
            ["`with multiprocessing.Pool()`", "fewer than 3"],
            ["the same, with `pool.close()` and `pool.join()`", "3"],
            ["`ThreadPoolExecutor`", "3"],
        ],
    )
