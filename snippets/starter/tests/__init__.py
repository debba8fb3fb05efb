import os

# Before Prefect is imported: nothing of the tests leaves this machine.
os.environ["DO_NOT_TRACK"] = "1"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
