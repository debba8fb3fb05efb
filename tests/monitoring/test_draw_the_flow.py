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
    with pytest.warns(match=WARNING):
        drawing = dont.load_orders.generate_mermaid_graph(inbox)

    assert list(inbox.iterdir()) == []
    assert drawing.count("[") == 2


def test_what_stands_in_a_task_is_drawn_and_not_run(do, inbox):
    drawing = do.load_orders.generate_mermaid_graph(inbox)

    assert [file.name for file in inbox.iterdir()] == ["order-7.txt"]
    assert "store_orders_0 --> empty_inbox_0" in drawing


def test_visualize_needs_the_program_dot(do, inbox, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(inbox)  # it writes the drawing's source there

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
    with pytest.raises(Exception) as error:
        flow(body, name="cannot-be-drawn").generate_mermaid_graph()
    assert str(error.value).startswith(message)


def test_a_drawing_can_show_a_path_that_the_run_did_not_take(api):
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
    @flow
    def check_orders():
        late = late_orders()
        warn(["order-7"], wait_for=[late])

    assert "-->" not in check_orders.generate_mermaid_graph()
