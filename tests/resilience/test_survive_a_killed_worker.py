import os
import re
import socket
from contextlib import suppress
from threading import Thread, Timer
from time import sleep
from urllib.parse import urlsplit

import pytest
from prefect import flow, task
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.observe import settles, task_runs

FIRST, SECOND, THIRD = (f"Counting 2026-03-0{day}" for day in (1, 2, 3))


@pytest.fixture
def kill_and_rerun(capfd, tmp_path):
    """Give the id of the run that power_cut.py killed, and what is left."""

    def runs(program):
        program.power_cut.run_and_kill(
            program.__file__, str(tmp_path / "storage"), THIRD
        )
        killed = capfd.readouterr()
        assert killed.out.splitlines() == [
            FIRST,
            SECOND,
            THIRD,
            "Killed, exit code -9",
        ]
        (run_id,) = re.findall(r"View at \S+/flow-run/(\S+)", killed.err)
        assert program.report() == 9
        return run_id, capfd.readouterr().out.splitlines()

    return runs


def test_without_stored_results_the_second_run_does_everything_again(
    dont, kill_and_rerun, api
):
    killed, done = kill_and_rerun(dont)

    assert done == [FIRST, SECOND, THIRD]
    assert api.read_flow_run(killed).state_name == "Running"


def test_with_stored_results_the_second_run_does_only_what_was_left(
    do, kill_and_rerun
):
    _, done = kill_and_rerun(do)

    assert done == [THIRD]


def test_a_run_cannot_begin_without_its_server(do):
    nowhere = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"})
    with nowhere, pytest.raises(RuntimeError) as error:
        do.report()

    assert str(error.value) == "Failed to reach API at http://127.0.0.1:1/api/"


class Line:
    """A way to the server that can be cut and mended."""

    def __init__(self):
        self.server = urlsplit(os.environ["PREFECT_API_URL"])
        self.port = 0
        self.mend()
        self.url = f"http://127.0.0.1:{self.port}/api"

    def mend(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.ends = [self.listener]
        Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(
                    (self.server.hostname, self.server.port)
                )
                self.ends += [client, server]
                for way in ((client, server), (server, client)):
                    Thread(target=self.carry, args=way, daemon=True).start()

    @staticmethod
    def carry(source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def cut(self):
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_a_run_goes_on_while_its_server_is_away_for_a_moment(api):
    line = Line()

    @task
    def count(day):
        sleep(0.2)

    @flow
    def report():
        for day in range(5):
            count(day)
            if day == 1:
                line.cut()
                Timer(1, line.mend).start()

    with temporary_settings({PREFECT_API_URL: line.url}):
        state = report(return_state=True)

    assert state.is_completed()
    settles(lambda: task_runs(api, state), [("count", "Completed", 1)] * 5)
