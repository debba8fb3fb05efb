import re

import pytest
from prefect import flow, task, unmapped
from prefect.exceptions import MappingLengthMismatch, MappingMissingIterable


@task
def prices():
    return [12.5, 8.0]


@task
def receive(first, second=("a", "default")):
    return first, second


def receive_each(*args):
    @flow
    def receive_all():
        found = [arg.submit() if arg is prices else arg for arg in args]
        return receive.map(*found).result()

    return receive_all()


def test_two_lists_of_one_length_are_dealt_out_in_pairs(dont):
    state = dont.load_files(["mon.csv", "tue.csv"], return_state=True)

    assert state.is_completed()
    assert state.result() == [{"order": "A-1"}, {"price": 8.0}]


def test_two_lists_of_different_lengths_are_refused(dont):
    message = (
        "Received iterable parameters with different lengths. Parameters for"
        " map must all be the same length."
        " Got lengths: {'file': 3, 'columns': 2}"
    )
    with pytest.raises(MappingLengthMismatch, match=re.escape(message)):
        dont.load_files(["mon.csv", "tue.csv", "wed.csv"])


def test_an_unmapped_list_arrives_whole_in_each_task_run(do):
    rows = do.load_files(["mon.csv", "tue.csv", "wed.csv"])

    assert [list(row) for row in rows] == [["order", "price"]] * 3


@pytest.mark.parametrize(
    ("argument", "received"),
    [
        ((1, 2), [1, 2]),
        (range(2), [0, 1]),
        ((n * n for n in (1, 2)), [1, 4]),
        ({"tea": 4.0, "milk": 1.0}, ["tea", "milk"]),
        ({"tea": 4.0, "milk": 1.0}.items(), [("tea", 4.0), ("milk", 1.0)]),
        (prices, [12.5, 8.0]),
        ([], []),
    ],
    ids=["tuple", "range", "generator", "dict", "items", "task", "empty"],
)
def test_each_task_run_receives_one_element(argument, received):
    assert [first for first, _ in receive_each(argument)] == received


@pytest.mark.parametrize("argument", ["EUR", b"EUR", 7, None], ids=repr)
def test_text_and_what_is_no_collection_arrives_whole(argument):
    assert receive_each([1, 2], argument) == [(1, argument), (2, argument)]
    with pytest.raises(MappingMissingIterable) as error:
        receive_each(argument)
    assert "No iterable parameters were received." in str(error.value)


def test_a_default_arrives_whole():
    assert receive_each([1]) == [(1, ("a", "default"))]


def test_all_task_runs_share_one_unmapped_object():
    @task
    def count(item, counts):
        counts[item] = 1

    @flow
    def count_all(items):
        counts = {}
        count.map(items, unmapped(counts)).result()
        return counts

    assert count_all(["tea", "milk"]).keys() == {"tea", "milk"}
