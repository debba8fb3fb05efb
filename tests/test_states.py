"""The list of states is the one of the installed Prefect."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path

import prefect.states

from tests.book import ROOT

LISTED = {
    row["name"]: row["type"]
    for row in tomllib.loads(
        (ROOT / "snippets/states.toml").read_text("utf-8")
    )["state"]
}
# What gives a state a name of its own.
MODULES = [
    "flow_engine.py",
    "server/api/flow_runs.py",
    "server/orchestration/core_policy.py",
    "task_engine.py",
]


def made_by(module: str) -> set[str]:
    """The names that a module gives to states, in a call or afterwards."""
    code = Path(prefect.__file__).parent / module
    given = set()
    for node in ast.walk(ast.parse(code.read_text("utf-8"))):
        match node:
            case ast.keyword(arg="name", value=ast.Constant(value=str(name))):
                given.add(name)
            case ast.Assign(
                targets=[ast.Attribute(attr="name")],
                value=ast.Constant(value=str(name)),
            ):
                given.add(name)
    return {name for name in given if re.fullmatch(r"[A-Z][a-zA-Z]+", name)}


def test_every_state_of_prefect_is_listed():
    makers = inspect.getmembers(prefect.states, inspect.isfunction)
    made = [make() for name, make in makers if name[0].isupper()]
    types = {state.name: state.type.value for state in made}
    assert types.items() <= LISTED.items()
    named = set().union(*map(made_by, MODULES))
    assert types.keys() | named == LISTED.keys()


def test_a_run_that_nothing_ends_stays_cancelling(api):
    from prefect import flow
    from prefect.states import Cancelling, Running

    run = api.create_flow_run(flow(lambda: None, name="left-alone"))
    for state in (Running(), Cancelling()):
        api.set_flow_run_state(run.id, state)
    assert api.read_flow_run(run.id).state.name == "Cancelling"
    api.request("DELETE", f"/flow_runs/{run.id}")
