"""The command `daily-sales`."""

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import date

from daily_sales.backfill import backfill
from daily_sales.flows import load_daily_sales
from daily_sales.set_up import set_up


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: What stands after its name; without it, those of the process.
    """
    parser = ArgumentParser("daily-sales", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("set-up", help="create what the flow needs")
    load = commands.add_parser("load", help="load a day in this process")
    load.add_argument("day", type=date.fromisoformat, help="such as 2026-03-01")
    again = commands.add_parser(
        "backfill", help="load many days on the workers"
    )
    again.add_argument("reason", help="with the same one, no day runs twice")
    again.add_argument("first", type=date.fromisoformat)
    again.add_argument("last", type=date.fromisoformat)
    options = parser.parse_args(arguments)
    if options.command == "set-up":
        set_up()
    elif options.command == "load":
        load_daily_sales(options.day)
    else:
        for run in backfill(options.reason, options.first, options.last):
            print(run.parameters["day"], run.state_name, run.name)
