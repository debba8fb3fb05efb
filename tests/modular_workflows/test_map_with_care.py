import re
import time
from threading import Barrier

import pytest
from prefect import flow, task, unmapped
from prefect.exceptions import MappingLengthMismatch, MappingMissingIterable
from prefect.task_runners import ProcessPoolTaskRunner

from tests.backend import patient


def test_two_lists_of_one_length_are_passed_on_in_pairs(dont):
    """Each collection that you pass to map is split into its elements, even
    the one that each task run needs whole.

    `map` turns each collection among its arguments into a list, and submits one
    task run for each position. With two files and two columns, `mon.csv` gets
    the text `"order"` as its `columns`, and `tue.csv` gets `"price"`. Half of
    the data is missing and the flow run is `Completed`, because Prefect does
    not check the arguments of a task against its type hints.
    """
    state = dont.load_files(["mon.csv", "tue.csv"], return_state=True)

    assert state.is_completed()
    assert state.result() == [{"order": "A-1"}, {"price": 8.0}]
    assert dont.load.fn.__annotations__["columns"] == list[str]


def test_two_lists_of_different_lengths_are_refused(dont):
    """Only if the lengths differ does `map` raise an exception."""
    message = (
        "Received iterable parameters with different lengths. Parameters for"
        " map must all be the same length."
        " Got lengths: {'file': 3, 'columns': 2}"
    )
    with pytest.raises(MappingLengthMismatch, match=re.escape(message)):
        dont.load_files(["mon.csv", "tue.csv", "wed.csv"])


def test_an_unmapped_list_arrives_whole_in_each_task_run(do):
    """Map over one argument, and put `unmapped` around every other one."""
    rows = do.load_files(["mon.csv", "tue.csv", "wed.csv"])

    assert [list(row) for row in rows] == [["order", "price"]] * 3
    assert [row["price"] for row in rows] == [12.5, 8.0, 3.2]


DEFAULT = ["a", "default"]


@task
def receive(position, argument=DEFAULT):
    return argument


@task
def prices():
    time.sleep(0.5)
    return [12.5, 8.0]


def what_two_task_runs_get(argument):
    @flow
    def receive_all():
        given = argument() if callable(argument) else argument
        found = [] if given is DEFAULT else [given]
        futures = receive.map(
            [0, 1][: len(given) if given == [] else 2], *found
        )
        waited = (
            given.state.is_completed() if argument is prices.submit else True
        )
        return waited, futures.result()

    waited, received = receive_all()
    assert waited
    return received


def test_what_each_task_run_gets(table):
    """If there must be files, check for the empty list in the flow and raise,
    because `map` does not.
    """
    value, by_name = [1, 2], {"tea": 4.0, "milk": 1.0}
    whole, same = "all of it", "all of it, the same object"
    element = "one element"
    rows = []
    for cell, gets, *arguments in (
        (
            "a list, tuple, range or generator",
            element,
            (value, value),
            ((1, 2), value),
            (range(1, 3), value),
            (lambda: (n for n in (1, 2)), value),
        ),
        ("a dict", "one key, without its value", (by_name, ["tea", "milk"])),
        (
            "`prices.items()` of a dict",
            "one pair of key and value",
            (by_name.items(), [("tea", 4.0), ("milk", 1.0)]),
        ),
        (
            "the future of a task that returns a list",
            "one element; `map` waits for the future first",
            (prices.submit, [12.5, 8.0]),
        ),
        (
            "a text, bytes, a number, `None`",
            whole,
            *((one, [one, one]) for one in ("EUR", b"EUR", 7, None)),
        ),
        (
            "nothing, and the function has a default",
            "all of the default, even if it is a list",
            (DEFAULT, [DEFAULT, DEFAULT]),
        ),
        ("`unmapped(value)`", same, (unmapped(value), [value, value])),
        ("an empty list", "there is no task run, and no error", ([], [])),
    ):
        for argument, expected in arguments:
            received = what_two_task_runs_get(argument)
            assert received == expected
            assert gets != same or received[0] is received[1] is value
        rows.append([cell, gets])
    table("arguments.md", ["You pass", "Each task run gets"], rows)


@pytest.mark.parametrize("argument", ["EUR", b"EUR", 7, None], ids=repr)
def test_map_needs_one_collection(argument):
    """Or you mapped over a single text:"""

    @flow
    def receive_all():
        receive.map(argument)

    with pytest.raises(MappingMissingIterable) as error:
        receive_all()
    assert "No iterable parameters were received." in str(error.value)


def test_all_task_runs_share_one_unmapped_object_unless_it_is_copied():
    """With the default task runner it is not copied: all task runs get the same
    object, in several threads at the same time, and the flow sees what they
    write into it. With a `ProcessPoolTaskRunner` they get copies, and the flow
    sees nothing.
    """
    meet = Barrier(2, timeout=patient(30))

    @task
    def count(item, counts, wait=None):
        counts[item] = 1
        if wait:
            wait.arrive()
        return len(counts)

    @flow
    def count_all(items, *others):
        counts = {}
        count.map(items, unmapped(counts), *others).result()
        return sorted(counts)

    class Threads:
        def arrive(self):
            meet.wait()

    assert count_all(["tea", "milk"], unmapped(Threads())) == ["milk", "tea"]
    processes = ProcessPoolTaskRunner(max_workers=1)
    in_processes = count_all.with_options(task_runner=processes)
    assert in_processes(["tea", "milk"]) == []
