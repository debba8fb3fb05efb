import asyncio
import gzip
import os
import signal
import subprocess
import time
from importlib import import_module
from threading import Timer

import pytest
from prefect import flow, task
from prefect.deployments.steps import run_shell_script
from prefect.exceptions import TerminationSignal

from tests.observe import log_messages, settles
from tests.programs import tool

SAID = "the library's database closed the connection"
LINES = ["book-1,Ada", "book-2,Ben", SAID]


def processes(mark):
    """The sleeping processes with this mark, without those that have ended."""
    found = tool("ps", "-A", "-o", "stat=,args=").stdout.splitlines()
    return sorted(
        line.split(maxsplit=1)[1]
        for line in found
        if mark in line and not line.startswith("Z")
    )


@pytest.fixture
def mark():
    """A number of seconds to sleep that no other process sleeps."""
    yield (mark := f"600.{os.getpid()}")
    tool("pkill", "-f", f"sleep {mark}")


@pytest.fixture
def back_up(tmp_path):
    """Run the flow of a program, and give its state and what it saved."""

    def run(program):
        archive = tmp_path / "the loans.gz"
        state = program.back_up_loans(str(archive), return_state=True)
        return state, gzip.decompress(archive.read_bytes()).decode().split()

    return run


def test_a_program_that_fails_does_not_fail_the_run(dont, back_up, api):
    """Prefect does not see the exit code of a program, so the run completes
    when the program that it started has failed.

    What the program prints goes to the terminal, and the server gets none of
    it.
    """
    state, saved = back_up(dont)

    assert state.name == "Completed"
    assert saved == LINES[:2]
    settles(
        lambda: log_messages(api, state)[-1:],
        ["Finished in state Completed()"],
    )
    assert SAID not in "".join(log_messages(api, state))


def test_check_and_pipefail_fail_the_run(do, back_up, monkeypatch):
    """`check=True` raises `CalledProcessError` if the exit code is not 0.

    The error names the command and not what it said.
    """
    state, saved = back_up(do)

    assert state.name == "Failed"
    assert "CalledProcessError: Command '['bash', '-o'," in state.message
    assert state.message.endswith("returned non-zero exit status 1.")
    assert SAID not in state.message
    assert saved == LINES[:2]

    monkeypatch.setattr(do, "EXPORT", ["echo", "a whole book"])
    state, saved = back_up(do)
    assert state.name == "Completed"
    assert saved == ["a", "whole", "book"]


def test_how_you_start_it_decides_what_you_notice(table):
    """With a pipe, the exit code of the shell is that of the last program, so
    `gzip` hides that what stands before it has failed.

    `pipefail` lets a pipe fail if one of its programs fails.

    A script ends with the exit code of its last line, unless `-e` ends it at
    the first that fails. How you start a command decides which failure fails
    the run:
    """
    starts = {
        "`os.system(command)`": lambda command: os.system(command),
        '`run(["bash", "-c", command])`': lambda command: subprocess.run(
            ["bash", "-c", command]
        ),
        '`run(["bash", "-c", command], check=True)`': lambda command: (
            subprocess.run(["bash", "-c", command], check=True)
        ),
        "the same with `-o pipefail`": lambda command: subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], check=True
        ),
        "the same with `-e -o pipefail`": lambda command: subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command], check=True
        ),
        "`run_shell_script(command, shell=True)` of Prefect": lambda command: (
            asyncio.run(run_shell_script(command, shell=True))
        ),
    }
    commands = ["false", "false | cat", "false\ntrue"]

    @flow
    def start_all():
        return [
            [
                task(start)(command, return_state=True).name
                for command in commands
            ]
            for start in starts.values()
        ]

    head = ["How it is started", "It fails", "It fails before a pipe"]
    table(
        "calls.md",
        [*head, "A line before the last one fails"],
        [
            [start, *(f"`{state}`" for state in states)]
            for start, states in zip(starts, start_all(), strict=True)
        ],
    )


def test_a_line_that_is_printed_is_stored(do, api):
    """This program gives each line to the log of the run as soon as it comes,
    and its state says the last line:
    """
    program = import_module("log_lines")
    state = program.list_loans(return_state=True)

    assert state.message == (
        f"Flow run encountered an exception: RuntimeError: exit code 1: {SAID}"
    )
    settles(
        lambda: [m for m in log_messages(api, state) if m in LINES],
        LINES,
    )
    first = "print('a loan'); import time; time.sleep(600)"
    program.EXPORT[2:] = ["-c", first]
    slow = program.list_loans.with_options(timeout_seconds=1.5)
    begin = time.monotonic()
    state = slow(return_state=True)
    assert state.name == "TimedOut"
    assert time.monotonic() - begin < 30
    settles(
        lambda: log_messages(api, state).count("a loan"),
        1,
    )
    assert not processes(first)
    program.EXPORT[1:] = ["-c", "print('a loan')"]
    assert program.list_loans(return_state=True).name == "Completed"


def test_the_shell_is_killed_and_its_programs_work_on(mark, table):
    """A time limit ends the process that you started, and not those that it
    started: of a pipe, bash is gone and its programs work on.

    Let `timeout` of GNU limit the program itself:
    """
    alone, shell = ["sleep", mark], ["bash", "-o", "pipefail", "-c"]
    piped = [*shell, f"sleep {mark} | cat"]
    limited = [*shell, f"timeout 1 sleep {mark} | cat"]

    def run(command, **options):
        subprocess.run(command, check=True, **options)

    def popen(command):
        subprocess.Popen(command).wait()

    in_time = task(run).with_options(timeout_seconds=1)
    waiting = task(popen).with_options(timeout_seconds=1)
    ways = [
        ("`run(program, timeout=1)`", task(run), alone, {"timeout": 1}),
        ("`run(pipe, timeout=1)`", task(run), piped, {"timeout": 1}),
        ("task with `timeout_seconds=1`: `run(program)`", in_time, alone, {}),
        ("task with `timeout_seconds=1`: `run(pipe)`", in_time, piped, {}),
        (
            "task with `timeout_seconds=1`: `Popen(program).wait()`",
            waiting,
            alone,
            {},
        ),
        ("`run(pipe)`, and it begins with `timeout 1`", task(run), limited, {}),
    ]
    rows = []

    @flow
    def start_all():
        for name, start, command, options in ways:
            state = start(command, **options, return_state=True)
            left = processes(f"sleep {mark}")
            rows.append(
                [
                    name,
                    f"`{state.name}`",
                    "works on" if left else "has ended",
                ]
            )
            tool("pkill", "-f", f"sleep {mark}")
            settles(lambda: processes(f"sleep {mark}"), [])

    start_all(return_state=True)
    head = ["What limits the time", "State of the task run", "The program"]
    table("time.md", head, rows)


def test_a_cancelled_run_kills_the_shell_and_not_its_programs(mark, dont):
    """A signal that only the process of the run gets, when somebody cancels it,
    leaves them in the same way.
    """
    before = signal.signal(signal.SIGTERM, lambda *_: None)

    @flow
    def wait(command):
        Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        subprocess.run(command)

    try:
        left = {}
        for command in f"exec sleep {mark}", f"sleep {mark} | cat":
            with pytest.raises(TerminationSignal):
                wait(["bash", "-c", command])
            left[command] = processes(mark)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert left == {
        f"exec sleep {mark}": [],
        f"sleep {mark} | cat": [f"sleep {mark}"],
    }


def test_some_exit_codes_are_no_failure(tmp_path):
    """Some programs end with a number that is no failure: `grep` with 1 if it
    finds nothing, `diff` with 1 if two files differ.

    `pipefail` also fails a pipe such as `yes | head`, in which the last program
    ends first.
    """
    for name in "a", "b":
        (tmp_path / name).write_text(name)
    assert tool("grep", "c", "a", cwd=tmp_path).returncode == 1
    assert tool("diff", "a", "b", cwd=tmp_path).returncode == 1
    for option, code in ("+o", 0), ("-o", 128 + signal.SIGPIPE):
        bash = ["bash", option, "pipefail", "-c", "yes | head -n 1"]
        assert tool(*bash).returncode == code
