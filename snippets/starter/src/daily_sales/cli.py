"""The command `daily-sales`."""

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import date

from daily_sales.backfill import backfill
from daily_sales.set_up import set_up


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with these arguments, or with those of the process."""
    parser = ArgumentParser("daily-sales", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("set-up", help="create what the flow needs")
    again = commands.add_parser("backfill", help="load past days again")
    again.add_argument("reason", help="with the same one, no day runs twice")
    again.add_argument("first", type=date.fromisoformat)
    again.add_argument("last", type=date.fromisoformat)
    options = parser.parse_args(arguments)
    if options.command == "set-up":
        set_up()
    else:
        for run in backfill(options.reason, options.first, options.last):
            print(run.parameters["day"], run.state_name, run.name)
