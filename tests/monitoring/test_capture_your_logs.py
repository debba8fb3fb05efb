import logging
import shutil
import warnings

import pytest
from prefect import get_run_logger
from prefect.client.schemas.filters import LogFilter
from prefect.exceptions import MissingContextError
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_LOGGING_LOG_PRINTS,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    temporary_settings,
)

from tests.observe import log_messages, settles
from tests.programs import run_program

PRICES = {"order-7": 0, "order-8": 25}
BEGIN = "Beginning flow run 'night load' for flow 'load-orders'"
END = "Finished in state Completed()"
WARNING = "| WARNING | orders - order-7 has no price"
INFO = """
import dont

@dont.flow
def load():
    dont.logger.info("all well")

def is_stored():
    return "all well" in dont.stored_logs(load(return_state=True))

first = is_stored()
dont.logging.getLogger("orders").setLevel("INFO")
print(first, is_stored())
"""


def test_a_plain_logger_and_a_print_never_reach_the_server(dont, tmp_path):
    """A plain logger and a bare print end on the machine that ran the flow; the
    API never gets them.

    The logger `orders` passes its warning to Python's root logger, which writes
    to stderr. `print` writes to stdout.

    The API has only Prefect's own two lines.

    The program calls `flush` before it reads the records back, because they are
    sent in the background.
    """
    run = run_program(dont.__file__, tmp_path)

    assert WARNING in run.stderr
    assert run.stdout.splitlines() == [
        "2 orders loaded",
        "Stored by the server:",
        f"- {BEGIN}",
        f"- {END}",
    ]


def test_the_handler_is_on_the_loggers_of_prefect(do):
    """A handler sends log records to the API, and by default Prefect gives it
    only to loggers of its own.

    `get_run_logger` returns one that knows the run and has the handler.
    """
    seen = []
    wrapped = do.flow(lambda: seen.append(get_run_logger()))
    wrapped()

    (run_logger,) = seen
    assert run_logger.extra["flow_run_name"]
    having = {
        name
        for name, logger in logging.root.manager.loggerDict.items()
        for handler in getattr(logger, "handlers", [])
        if isinstance(handler, APILogHandler)
    }
    assert run_logger.logger.name in having
    assert {name.split(".")[0] for name in having} == {"prefect"}
    assert not any(
        isinstance(handler, APILogHandler) for handler in logging.root.handlers
    )


def test_the_run_logger_and_log_prints_reach_the_server(do, dont, api):
    """`log_prints=True` turns each `print` of the flow into a log line of level
    `INFO`; `PREFECT_LOGGING_LOG_PRINTS=true` does it for all flows.
    """
    state = do.load_orders(PRICES, return_state=True)

    lines = [BEGIN, "order-7 has no price", "2 orders loaded", END]
    settles(lambda: do.stored_logs(state), lines)
    this_run = {"any_": [state.state_details.flow_run_id]}
    logs = api.read_logs(LogFilter(flow_run_id=this_run))
    levels = {log.message: logging.getLevelName(log.level) for log in logs}
    assert [levels[line] for line in lines[1:3]] == ["WARNING", "INFO"]

    with temporary_settings({PREFECT_LOGGING_LOG_PRINTS: True}):
        state = dont.load_orders(PRICES, return_state=True)
    settles(lambda: log_messages(api, state), [BEGIN, "2 orders loaded", END])


def test_a_plain_logger_reaches_the_server_when_a_setting_names_it(
    dont, tmp_path
):
    """Name its logger in a setting, here or in the environment variable
    `PREFECT_LOGGING_EXTRA_LOGGERS`:

    Started in a folder with this file, `dont.py` stores its warning without
    a change to its code. Its `print` stays lost.

    The setting gives that logger the handler, but no level. So its `info`
    messages are dropped until you call
    `logging.getLogger("orders").setLevel("INFO")`, or set the environment
    variable `PREFECT_LOGGING_ROOT_LEVEL=INFO` for all loggers that have no
    level of their own.
    """
    shutil.copy(dont.__file__.replace("dont.py", "prefect.toml"), tmp_path)

    run = run_program(dont.__file__, tmp_path)

    assert WARNING in run.stderr
    assert run.stdout.splitlines() == [
        "2 orders loaded",
        "Stored by the server:",
        f"- {BEGIN}",
        "- order-7 has no price",
        f"- {END}",
    ]

    shutil.copy(dont.__file__, tmp_path)
    program = tmp_path / "info.py"
    program.write_text(INFO)
    assert run_program(program, tmp_path).stdout == "False True\n"
    variables = {
        "PREFECT_LOGGING_EXTRA_LOGGERS": "orders",
        "PREFECT_LOGGING_ROOT_LEVEL": "INFO",
    }
    run = run_program(program, tmp_path / "elsewhere", **variables)
    assert run.stdout == "True True\n"


def test_outside_a_run_there_is_nothing_to_attach_a_log_to():
    """Code that also runs without Prefect should keep `logging.getLogger`, with
    the setting above: outside of a run `get_run_logger` raises
    `MissingContextError`. A logger with the handler only warns there, and
    `PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW=ignore` stops the warning.
    """
    outside = logging.getLogger("orders.outside")
    handler = APILogHandler()
    outside.addHandler(handler)

    with pytest.warns(
        match="attempted to send logs to the API without a flow run id"
    ):
        outside.warning("order-7 has no price")
    ignore = {PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}
    with temporary_settings(ignore), warnings.catch_warnings(action="error"):
        outside.warning("order-7 has no price")
    outside.removeHandler(handler)
    with pytest.raises(MissingContextError) as error:
        get_run_logger()
    assert str(error.value) == "There is no active flow or task run context."
