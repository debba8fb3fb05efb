"""Counts what this process asks the API: flow_runs, variables and so on."""

import logging
import re
from collections import Counter

# On Prefect Cloud, your account and workspace stand before it.
ABOUT = re.compile(r"/(?:api|workspaces/[^/]+)/(?!accounts/)(?:v2/)?([\w-]+)")
requests: Counter[str] = Counter()


def count(record: logging.LogRecord) -> bool:
    _, url, *_ = record.args  # httpx logs each request that was answered
    requests[ABOUT.search(str(url))[1]] += 1
    return False  # counted, so it need not be printed


logging.getLogger("httpx").addFilter(count)
logging.getLogger("httpx").setLevel(logging.INFO)
