import logging
import shutil

import pytest
from prefect import get_run_logger
from prefect.exceptions import MissingContextError
from prefect.logging.handlers import APILogHandler

from tests.observe import settles
from tests.programs import run_program

PRICES = {"order-7": 0, "order-8": 25}
BEGIN = "Beginning flow run 'night load' for flow 'load-orders'"
END = "Finished in state Completed()"


def test_a_plain_logger_and_a_print_never_reach_the_server(
    dont, capsys, caplog
):
    state = dont.load_orders(PRICES, return_state=True)

    assert "order-7 has no price" in caplog.messages
    assert capsys.readouterr().out == "2 orders loaded\n"
    settles(lambda: dont.stored_logs(state), [BEGIN, END])


def test_the_run_logger_and_log_prints_reach_the_server(do):
    state = do.load_orders(PRICES, return_state=True)

    settles(
        lambda: do.stored_logs(state),
        [BEGIN, "order-7 has no price", "2 orders loaded", END],
    )


def test_a_plain_logger_reaches_the_server_when_a_setting_names_it(
    dont, tmp_path
):
    shutil.copy(dont.__file__.replace("dont.py", "prefect.toml"), tmp_path)

    run = run_program(dont.__file__, tmp_path)

    assert "| WARNING | orders - order-7 has no price" in run.stderr
    assert run.stdout.splitlines() == [
        "2 orders loaded",
        "Stored by the server:",
        f"- {BEGIN}",
        "- order-7 has no price",
        f"- {END}",
    ]


def test_outside_a_run_there_is_nothing_to_attach_a_log_to():
    outside = logging.getLogger("orders.outside")
    outside.addHandler(APILogHandler())

    with pytest.warns(
        match="attempted to send logs to the API without a flow run id"
    ):
        outside.warning("order-7 has no price")
    with pytest.raises(MissingContextError) as error:
        get_run_logger()
    assert str(error.value) == "There is no active flow or task run context."
