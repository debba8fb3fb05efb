"""The pictures of the pages, drawn from what runs show.

Most of them are drawn from outputs and tables that other tests record, so they
change when Prefect does.
"""

from __future__ import annotations

import itertools
import random
import re
import tomllib
from collections.abc import Callable

import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings.models.flows import FlowsSettings
from prefect.tasks import exponential_backoff
from prefect.utilities.math import clamped_poisson_interval

from tests.book import BOOK, ROOT
from tests.drawing import DO, DONT, INK, QUIET, TEAL, Picture
from tests.sides import SIGNS

STARTER = ROOT / "snippets/starter"
SIDES = {"dont": (SIGNS["dont"], DONT), "do": (SIGNS["do"], DO)}


@pytest.fixture
def picture(record) -> Callable[[str, Picture], None]:
    """Record a picture, by its name below `docs/assets/pictures`."""

    def compare(name: str, drawn: Picture) -> None:
        assert any(f"/pictures/{name}.svg" in p.source for p in BOOK.pages)
        record(ROOT / f"docs/assets/pictures/{name}.svg", drawn.svg())

    return compare


def printed(name: str) -> str:
    """What a program prints, by its path below `snippets`."""
    return (ROOT / f"snippets/{name}.out").read_text("utf-8")


def counted(name: str, words: str) -> int:
    """The number behind some words in what a program prints."""
    return int(re.search(rf"{words}: (\d+)", printed(name))[1])


def rows_of(name: str) -> list[list[str]]:
    """The rows of a recorded table below `snippets`, without its head."""
    lines = (ROOT / f"snippets/{name}.md").read_text("utf-8").splitlines()
    return [
        [cell.strip(" *`") for cell in line.strip("|").split("|")]
        for line in lines[2:]
    ]


def test_the_attempts_of_a_flow_and_of_a_task(picture):
    rule = "resilience/retry_tasks_not_flows"
    drawn = Picture(226)
    top = 14
    for side, title, attempts in (
        ("dont", "the flow has the retry", [[False], [True]]),
        ("do", "the task has the retry", [[False, True]]),
    ):
        sign, colour = SIDES[side]
        charges = counted(f"{rule}/{side}", "Charges for order-7")
        assert charges == len(attempts)
        charged = f"{charges} charge{'s' * (charges > 1)}"
        drawn.text(f"{sign} {title}: {charged}", 20, top, colour, 15)
        for number, receipts in enumerate(attempts, 1):
            y = top + 20 + 44 * (number - 1)
            drawn.text(f"run {number}", 20, y + 16, QUIET, 12)
            drawn.box("charge_card", 70, y, 130, colour=colour)
            for place, sent in enumerate(receipts):
                x = 222 + 152 * place
                drawn.arrow(x - (12 if place else 22), y + 16, x, y + 16)
                words = "send_receipt" if sent else "send_receipt fails"
                drawn.box(
                    words,
                    x,
                    y,
                    136,
                    colour=TEAL if sent else DONT,
                    dashed=not sent,
                )
        top += 126
    picture("attempts", drawn)


def test_retries_with_and_without_jitter(picture):
    random.seed(1)
    pauses = exponential_backoff(2)(3)
    drawn = Picture(216)

    def at(second: float) -> float:
        return 20 + second * 24

    marks = [(at(second), f"{second} s") for second in range(0, 21, 4)]
    for top, title, jitter in (
        (14, "without jitter: all tasks ask at the same moments", 0),
        (124, "with retry_jitter_factor=0.3: they spread", 0.3),
    ):
        drawn.text(title, 20, top, DO if jitter else DONT, 15)
        for task in range(12):
            second = 0.0
            for pause in pauses:
                second += (
                    clamped_poisson_interval(pause, jitter) if jitter else pause
                )
                drawn.dot(at(second), top + 20 + task * 3.6, TEAL, 3)
        drawn.scale(top + 68, marks)
    picture("jitter", drawn)


def test_the_threads_of_a_pool_with_and_without_a_bound(picture):
    drawn = Picture(116)
    for top, side in ((14, "dont"), (72, "do")):
        sign, colour = SIDES[side]
        name = f"scaling/bound_the_thread_pool/{side}"
        threads = counted(name, "Threads for 48 queries")
        drawn.text(f"{sign} 48 queries, {threads} threads", 20, top, colour, 15)
        for thread in range(threads):
            drawn.dot(24 + thread * 10, top + 24, colour)
    picture("threads", drawn)


def test_the_overlap_of_two_runs(picture):
    def at(minute: int) -> float:
        return 110 + minute * 5

    drawn = Picture(226)
    top = 14
    for side in SIDES:
        sign, colour = SIDES[side]
        name = f"scaling/prevent_overlap/{side}"
        ended = re.search(r"02:30: (\w+)", printed(name))[1]
        rows = counted(name, "Rows for 2 orders")
        drawn.text(f"{sign} {rows} rows for 2 orders", 20, top, colour, 15)
        drawn.text("run of 02:00", 20, top + 30, QUIET, 12)
        drawn.box("Running", at(0), top + 18, at(65) - at(0), 24)
        drawn.text("run of 02:30", 20, top + 60, QUIET, 12)
        if ended == "Completed":
            drawn.box("Running too", at(30), top + 48, 110, 24, DONT)
        else:
            drawn.dot(at(30), top + 60, DO)
            drawn.text(f"{ended} at once", at(30) + 8, top + 60, DO, 13)
        top += 92
    marks = [(at(0), "02:00"), (at(30), "02:30"), (at(60), "03:00")]
    drawn.scale(top - 2, marks, at(0))
    picture("overlap", drawn)


def test_what_a_zombie_is(picture):
    heartbeat = FlowsSettings.model_fields["heartbeat_frequency"].default
    killed, window = 2.5 * heartbeat, 3 * heartbeat
    end = 2 * heartbeat + window

    def at(second: float) -> float:
        return 100 + second * 380 / end

    drawn = Picture(166)
    drawn.text("process", 20, 30, QUIET, 12)
    drawn.box("runs", at(0), 18, at(killed) - at(0), 24)
    drawn.text("kill -9", at(killed) + 8, 30, DONT, 13, bold=True)
    drawn.text("heartbeats", 20, 62, QUIET, 12)
    for number in range(3):
        drawn.dot(at(number * heartbeat), 62)
    drawn.text("no more", at(3 * heartbeat), 62, QUIET, 12)
    drawn.text("server says", 20, 96, QUIET, 12)
    drawn.box("Running", at(0), 84, at(killed) - at(0), 24)
    zombie = at(end) - at(killed)
    drawn.box("Running: a zombie", at(killed), 84, zombie, 24, DONT, True)
    drawn.dot(at(end), 96, DO)
    drawn.text("Crashed", at(end), 120, DO, 13, "end", bold=True)
    marks = [
        (at(n * heartbeat), f"{n * heartbeat // 60} min") for n in range(6)
    ]
    drawn.scale(136, marks, at(0))
    picture("zombie", drawn)


def test_the_life_of_a_state(picture):
    file = ROOT / "snippets/states.toml"
    states = tomllib.loads(file.read_text("utf-8"))["state"]
    names = {
        kind: [state["name"] for state in of_kind]
        for kind, of_kind in itertools.groupby(
            states, lambda state: state["type"].lower()
        )
    }
    ends = ["completed", "failed", "crashed", "cancelled"]
    drawn = Picture(356)
    top = 12
    for kind, colour in (
        ("scheduled", QUIET),
        ("pending", QUIET),
        ("running", TEAL),
    ):
        of_kind = names[kind]
        lines = [", ".join(of_kind[1:3]), ", ".join(of_kind[3:])]
        words = "\n".join([of_kind[0], *filter(None, lines)])
        drawn.box(words, 20, top, 260, 66, colour)
        top += 90
    drawn.arrow(150, 78, 150, 102)
    drawn.arrow(150, 168, 150, 192)
    drawn.box(
        "\n".join(["Paused", *names["paused"][1:]]), 350, 12, 150, 50, QUIET
    )
    drawn.box("Cancelling", 350, 100, 150, 36, QUIET)
    drawn.arrow(280, 205, 366, 64)
    drawn.arrow(350, 37, 282, 37)
    drawn.arrow(280, 216, 390, 138)
    drawn.arrow(150, 258, 150, 282)
    drawn.arrow(441, 136, 441, 282)
    colours = {
        "completed": DO,
        "failed": DONT,
        "crashed": DONT,
        "cancelled": QUIET,
    }
    for number, kind in enumerate(ends):
        words = "\n".join(names[kind])
        drawn.box(words, 20 + 121 * number, 282, 117, 66, colours[kind])
    picture("states", drawn)


def test_the_boundary_between_function_task_subflow_and_deployment(picture):
    table = rows_of("modular_workflows/pick_the_boundary/boundaries")
    rows = {row: cells for row, *cells in table}
    assert [where == "in your process" for where in rows["It runs"][:4]] == [
        *(True, True, True, False)
    ]
    drawn = Picture(206)
    drawn.box("", 84, 28, 312, 170, QUIET, dashed=True)
    drawn.text("your process", 90, 14, QUIET, 12)
    drawn.box("", 404, 28, 108, 170, QUIET, dashed=True)
    drawn.text("another process", 404, 14, QUIET, 12)
    labels = {
        "Prefect records": "record",
        "A failure is": "failure",
        "Retry": "retry",
        "Cache": "cache",
    }
    for number, kind in enumerate(
        ["function", "task", "subflow", "deployment"]
    ):
        x = 90 + 102 * number + 14 * (number == 3)
        drawn.box(kind, x, 38, 96, 36, DONT if number == 3 else TEAL)
        for line, row in enumerate(labels):
            said = rows[row][number].replace("that you must", "to")
            drawn.text(said, x + 48, 96 + line * 28, INK, 12, "middle")
    for line, label in enumerate(labels.values()):
        drawn.text(label, 20, 96 + line * 28, QUIET, 12)
    picture("boundary", drawn)


def test_the_pools_between_server_and_workers(api, picture):
    pool = WorkPoolCreate(name="picture-of-a-pool", type="process")
    made = api.create_work_pool(pool)
    (queue,) = api.read_work_queues(work_pool_name=made.name)
    api.delete_work_pool(made.name)
    drawn = Picture(250)
    drawn.box("server\nkeeps runs, starts none", 20, 20, 190, 50)
    drawn.box("deployment\nnames its work pool", 300, 20, 200, 50)
    drawn.arrow(300, 45, 210, 45)
    for x, name, machine in (
        (20, "office", "office-box"),
        (270, "gpu", "gpu-box"),
    ):
        drawn.arrow(x + 115, 70, x + 115, 94)
        drawn.box(
            f"work pool {name}\nqueue: {queue.name}", x, 94, 230, 50, QUIET
        )
        drawn.arrow(x + 115, 184, x + 115, 144)
        drawn.text("asks for runs", x + 125, 164, QUIET, 12)
        drawn.box(
            f"worker on {machine}\nstarts a process for each run",
            x,
            184,
            230,
            50,
            DO,
        )
    picture("pools", drawn)


def test_the_places_where_a_secret_can_be_read(picture):
    places = [
        (place, told == "yes")
        for place, told, _ in rows_of("secrets/protect_the_server/places")
    ]
    short = {
        "a Secret block, if a client asks for the secret": (
            "a Secret block, if asked"
        ),
        "the environment of the worker": "the worker's environment",
    }
    drawn = Picture(230)
    drawn.text("The API tells the secret:", 20, 16, DONT, 14)
    drawn.text("It does not:", 270, 16, DO, 14)
    for told, x in ((True, 20), (False, 270)):
        kept = [place for place, tells in places if tells == told]
        for number, place in enumerate(kept):
            words = re.sub(r"^an? ", "", short.get(place, place))
            colour = DONT if told else DO
            drawn.box(words, x, 32 + 38 * number, 230, 30, colour)
    picture("secret-places", drawn)


@pytest.mark.parametrize("side", SIDES)
def test_a_drawing_of_the_flow(side, picture):
    _, colour = SIDES[side]
    mermaid = printed(f"monitoring/draw_the_flow/{side}")
    boxes = re.findall(r'(\w+)\["(\w+)-0"\]', mermaid)
    arrows = re.findall(r"(\w+) --> (\w+)", mermaid)
    assert arrows == [(a, b) for (a, _), (b, _) in itertools.pairwise(boxes)]
    drawn = Picture(64)
    for number, (_, name) in enumerate(boxes):
        x = 20 + 168 * number
        drawn.box(name, x, 16, 140, colour=colour)
        if number:
            drawn.arrow(x - 28, 32, x, 32)
    picture(f"drawing-{side}", drawn)


def test_the_clock_at_which_a_schedule_runs(picture):
    drawn = Picture(214)
    top = 14
    for side, title in (
        ("dont", "a schedule without a time zone"),
        ("do", "the same with timezone='America/New_York'"),
    ):
        sign, colour = SIDES[side]
        runs = re.findall(
            r"(\d+ Mar) (\S+) UTC is (\d\d):00",
            printed(f"scaling/schedule_in_a_time_zone/{side}"),
        )
        drawn.text(f"{sign} {title}", 20, top, colour, 15)
        for number, hour in enumerate(("9 in New York", "10 in New York")):
            y = top + 24 + 20 * number
            drawn.text(hour, 20, y, QUIET, 12)
            drawn.line(130, y, 500, y)
        for number, (day, utc, hour) in enumerate(runs):
            x = 180 + 96 * number
            late = hour != runs[0][2]
            drawn.dot(x, top + 24 + 20 * late, DONT if late else TEAL, 5)
            drawn.text(day, x, top + 62, QUIET, 12, "middle")
            drawn.text(f"{utc} UTC", x, top + 76, QUIET, 12, "middle")
        top += 112
    picture("clock", drawn)


def test_the_task_runs_of_small_and_of_large_tasks(picture):
    drawn = Picture(162)
    top = 14
    for side, height in (("dont", 74), ("do", 40)):
        sign, colour = SIDES[side]
        name = f"modular_workflows/right_size_tasks/{side}"
        runs = counted(name, "Task runs")
        prices = counted(name, "Prices converted")
        said = f"{sign} {prices} prices, {runs} task runs"
        drawn.text(said, 20, top, colour, 15)
        for run in range(runs):
            row, column = divmod(run, 50)
            drawn.dot(26 + column * 9.6, top + 22 + row * 12, colour, 3.4)
        top += height + 24
    picture("task-runs", drawn)


def test_the_parts_of_the_starter(picture):
    declared = yaml.safe_load((STARTER / "prefect.yaml").read_text("utf-8"))
    names = [each["name"] for each in declared["deployments"]]
    code = (STARTER / "src/daily_sales/automations.py").read_text("utf-8")
    watch = re.findall(r'name="daily-sales-(\w+)"', code)
    assert names == ["nightly", "backfill"]
    assert watch == ["failed", "zombie", "late", "absent"]
    drawn = Picture(250)
    drawn.box("web shop\nHTTP", 10, 20, 110, 48, QUIET)
    drawn.box("stores\nCSV files", 10, 88, 110, 48, QUIET)
    drawn.box("flow\n" + " and ".join(names), 190, 54, 150, 48)
    drawn.box("table\nSQLite, PostgreSQL", 380, 20, 130, 48, DO)
    drawn.box("report\nartifact", 380, 88, 130, 48, DO)
    for y in 44, 112:
        drawn.arrow(120, y, 188, 78 + (y - 78) / 4)
        drawn.arrow(340, 78 + (y - 78) / 4, 378, y)
    drawn.box("git\ndeployed commit", 10, 180, 130, 48, QUIET)
    drawn.box("worker\nruns the flow", 190, 180, 150, 48)
    drawn.box("server\ntells the chat", 380, 180, 130, 48)
    drawn.arrow(140, 204, 188, 204)
    drawn.arrow(265, 180, 265, 104)
    drawn.arrow(380, 204, 342, 204)
    picture("starter", drawn)
