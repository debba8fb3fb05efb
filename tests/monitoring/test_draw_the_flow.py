from importlib.metadata import requires

import pytest
from prefect import flow, task
from prefect.utilities.visualization import GraphvizExecutableNotFoundError

from tests.observe import settles

WARNING = "will execute code inside of your flow that is not decorated"
pytestmark = pytest.mark.filterwarnings(f"ignore:.*{WARNING}")


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "order-7.txt").write_text("25.0")
    return tmp_path


@task
def late_orders() -> list[str]:
    return []


@task
def warn(orders: list[str]) -> None:
    pass


def test_drawing_runs_what_stands_outside_of_tasks(dont, inbox):
    """A drawing from the code runs the flow's body, so what stands outside of
    tasks really happens while you draw.

    `generate_mermaid_graph` calls your function.

    The loop over the inbox is neither. It is not in the drawing, and it deletes
    a file. Prefect warns of this before every drawing.
    """
    with pytest.warns(match=WARNING):
        drawing = dont.load_orders.generate_mermaid_graph(inbox)

    assert list(inbox.iterdir()) == []
    assert drawing.count("[") == 2


def test_what_stands_in_a_task_is_drawn_and_not_run(do, inbox):
    """Only calls of tasks and of other flows are replaced: each one becomes a
    box in the drawing, and nothing in it runs.
    """
    with pytest.warns(match=WARNING):
        drawing = do.load_orders.generate_mermaid_graph(inbox)

    assert [file.name for file in inbox.iterdir()] == ["order-7.txt"]
    assert "read_orders_0 --> store_orders_0" in drawing
    assert "store_orders_0 --> empty_inbox_0" in drawing
    do.load_orders(inbox)
    assert list(inbox.iterdir()) == []


def test_visualize_needs_the_program_dot(do, inbox, monkeypatch):
    """It needs `dot`, a program of Graphviz, beside the Python package
    `graphviz` that Prefect installs.
    """
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(inbox)  # it writes the drawing's source there

    assert "graphviz" in " ".join(requires("prefect"))
    with pytest.raises(GraphvizExecutableNotFoundError) as error:
        do.load_orders.visualize(inbox)
    assert (
        "It appears you do not have Graphviz installed, or it is not on your"
        " PATH." in str(error.value)
    )


@pytest.mark.parametrize(
    "body, message",
    [
        (
            lambda: late_orders.submit(),
            "Unable to determine task runner to use for submission.",
        ),
        (
            lambda: warn.map(["order-7"]),
            "`task.map()` is not currently supported by `flow.visualize()`",
        ),
        (
            lambda: len(late_orders()),
            "object of type 'VizTask' has no len()",
        ),
    ],
    ids=["submit", "map", "len"],
)
def test_a_flow_that_submits_or_reads_a_result_cannot_be_drawn(body, message):
    """Code that needs the value fails, as `len` does.

    A flow that uses `.submit()` or `.map()` cannot be drawn at all.
    """
    with pytest.raises(Exception) as error:
        flow(body, name="cannot-be-drawn").generate_mermaid_graph()
    assert str(error.value).startswith(message)


def test_a_drawing_can_show_a_path_that_the_run_did_not_take(api):
    """A call returns a stand-in, a `VizTask`. An `if` takes every stand-in for
    true, so the drawing shows a path that a run may not take.

    The server knows the graph of that run, with the path that it took: you see
    it on the run's page, or read it from `/api/flow_runs/<id>/graph-v2`.
    """

    @flow
    def check_orders():
        late = late_orders()
        if late:
            warn(late)

    assert "late_orders_0 --> warn_0" in check_orders.generate_mermaid_graph()

    state = check_orders(return_state=True)
    path = f"/flow_runs/{state.state_details.flow_run_id}/graph-v2"
    settles(
        lambda: [
            node["label"][:-4]
            for _, node in api.request("GET", path).json()["nodes"]
        ],
        ["late_orders"],
    )


def test_an_order_that_no_parameter_carries_is_not_drawn():
    """An arrow comes from an argument. `wait_for` draws none."""

    @flow
    def check_orders():
        late = late_orders()
        warn(["order-7"], wait_for=[late])

    assert "-->" not in check_orders.generate_mermaid_graph()


def test_a_value_for_the_drawing_takes_the_place_of_the_stand_in():
    """`@task(viz_return_value=[7])` gives it a value."""
    counted = []
    seven = late_orders.with_options(viz_return_value=[7])

    flow(lambda: counted.append(len(seven()))).generate_mermaid_graph()

    assert counted == [1]


def test_a_flow_in_the_flow_is_one_box():
    """A flow that the flow calls is one box, without its tasks."""

    @flow
    def check_orders():
        warn(late_orders())

    whole = flow(lambda: check_orders(), name="nightly")

    drawing = whole.generate_mermaid_graph()
    assert drawing.count("[") == 1
    assert "check-orders" in drawing
