"""Load a day on this machine: a server, a database and a shop come and go."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from daily_sales import table
from daily_sales.flows import load_daily_sales
from daily_sales.set_up import set_up
from daily_sales.settings import Settings
from tests import shop

if __name__ == "__main__":
    with (
        TemporaryDirectory() as folder,
        shop.open_shop() as web_shop,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: folder}),
        prefect_test_harness(server_startup_timeout=120),
    ):
        shop.send_files(Path(folder, "csv"))
        os.environ.update(shop.variables(Path(folder), web_shop))
        set_up()
        load_daily_sales(shop.DAY)
        with table.connected(Settings().database_url) as connection:
            for total in table.read_totals(connection, shop.DAY):
                print(
                    f"{total.source}: {total.orders} orders, {total.cents} ct"
                )
