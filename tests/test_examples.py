"""Every program of every rule runs and prints what its page shows."""

from __future__ import annotations

import os

import prefect
import pytest

from tests import contract
from tests.book import BOOK, ROOT
from tests.observe import kept, settles
from tests.programs import run_program

PROGRAMS = [
    pytest.param(
        program.relative_to(ROOT).as_posix(),
        marks=pytest.mark.xdist_group(rule.room.name),
    )
    for rule in BOOK.rules
    for program in rule.programs
]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_prints_its_recorded_output(name, tmp_path, record):
    program, output = ROOT / name, (ROOT / name).with_suffix(".out")
    url = os.environ["PREFECT_API_URL"]
    before = {*kept(url)}
    run = run_program(program, tmp_path)
    contract.report(contract.program_problems(name, run))

    def left() -> list[str]:
        new = {*kept(url)} - before
        return [*contract.left_problems(program, new, ROOT)]

    settles(left, [])  # what a test of another rule has made goes by itself
    if output.exists() and run.stdout != output.read_text("utf-8"):
        again = run_program(program, tmp_path / "again")
        contract.report(contract.race_problems(name, run, again))
    record(output, run.stdout)


def test_the_server_answers_with_the_pinned_version(api):
    assert api.api_version() == prefect.__version__
