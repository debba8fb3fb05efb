"""Photograph the dashboard for the page that leads through it: `make tour`.

One incident, as five pages of the dashboard show it, in light and dark, with
numbers on the parts that the page names. Pictures differ from run to run, so
no test records them. Look at them before you commit them.
"""

from __future__ import annotations

import base64
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Page

from tests import backend
from tests.book import ROOT
from tests.site import web

FOLDER = ROOT / "docs/assets/dashboard"
# The parts of each page, by what stands there, in the order of their numbers.
PARTS = {
    "dashboard": [
        "text=Past day",
        "text=load-shop >> nth=0",
        "text=Work Pools >> nth=1",
    ],
    "runs": [
        "text=All run states",
        "[placeholder='Search by flow run name']",
        "text=lisbon 2026-11-29",
    ],
    "run": [
        "text=Failed >> nth=0",
        "canvas >> nth=0",
        "[role=tablist] >> nth=-1",
        "text=Task run failed with exception",
    ],
    "automations": ["[role=switch]", "text=Trigger", "text=Action >> nth=-1"],
    "events": ["text=All event types", "text=/Completed/ >> nth=0"],
}
NUMBER = """(part, number) => {
    const box = part.getBoundingClientRect();
    const sign = document.createElement("b");
    sign.textContent = number;
    sign.style = `position:fixed; z-index:999; left:${box.left - 26}px;
        top:${box.top + Math.min(box.height, 40) / 2 - 11}px; width:22px;
        font:700 13px/22px system-ui; border-radius:11px; text-align:center;
        background:#0f5257; color:#fff; box-shadow:0 0 0 2px #fff`;
    document.body.append(sign);
}"""
# A traceback names the folder of this clone.
WITHOUT_PATH = """path => {
    const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (all.nextNode())
        all.currentNode.data = all.currentNode.data.replaceAll(path, "~");
}"""
AS_WEBP = """async url => {
    const image = new Image(), canvas = document.createElement("canvas");
    image.src = url;
    await image.decode();
    canvas.width = image.width, canvas.height = image.height;
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL("image/webp", 0.8).split(",")[1];
}"""


def an_incident() -> str:
    """Let one of four flow runs fail; return its id."""
    from prefect import flow, get_run_logger, tags, task
    from prefect.automations import Automation, CallWebhook, EventTrigger
    from prefect.blocks.webhook import Webhook
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    @task
    def fetch_orders(shop: str) -> list[str]:
        get_run_logger().info("asking %s for its orders", shop)
        if shop == "lisbon":
            raise ConnectionError("lisbon does not answer")
        return ["order-7", "order-8"]

    @task
    def store_orders(orders: list[str]) -> None:
        get_run_logger().info("%s orders stored", len(orders))

    @flow(flow_run_name="{shop} {day}")
    def load_shop(shop: str, day: str) -> None:
        store_orders(fetch_orders(shop))

    with get_client(sync_client=True) as api:
        api.create_work_pool(WorkPoolCreate(name="nightly", type="process"))
    pager = Webhook(url="https://pager.example.org").save("pager")
    Automation(
        name="call-the-pager",
        description="A run of load-shop failed or crashed.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.*"},
            match={"prefect.state-type": ["FAILED", "CRASHED"]},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": "load-shop",
            },
        ),
        actions=[CallWebhook(block_document_id=pager)],
    ).create()
    states = {}
    for shop in ("berlin", "lisbon", "madrid", "paris"):
        with tags("night", shop):
            states[shop] = load_shop(shop, "2026-11-29", return_state=True)
    return str(states["lisbon"].state_details.flow_run_id)


def photograph(view: Page, url: str, name: str, scheme: str) -> None:
    """Open a page of the dashboard, number its parts, and keep a picture."""
    view.emulate_media(color_scheme=scheme)
    view.goto(url, wait_until="networkidle")
    view.wait_for_timeout(2_000)
    view.evaluate(WITHOUT_PATH, str(ROOT))
    for number, part in enumerate(PARTS[name], 1):
        found = view.locator(part).first
        found.wait_for(timeout=10_000)
        found.evaluate(NUMBER, number)
    png = base64.b64encode(view.screenshot()).decode()
    view.goto("about:blank")
    webp = view.evaluate(AS_WEBP, f"data:image/png;base64,{png}")
    folder = FOLDER / ("dark" if scheme == "dark" else "")
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.webp").write_bytes(base64.b64decode(webp))


def main() -> None:
    os.environ.update(backend.ENVIRONMENT)
    port = backend.free_port()
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {"PREFECT_UI_API_URL": f"{url}/api"}
        server = backend.prefect_server(home / "server", port, **settings)
        os.environ["PREFECT_API_URL"] = stack.enter_context(server)
        os.environ["PREFECT_HOME"] = str(home)
        run = an_incident()
        time.sleep(90)  # the dashboard counts up to the last full minute
        size = {"width": 1100, "height": 1000}
        view = stack.enter_context(web.chromium()).new_page(viewport=size)
        for name, path in {
            "dashboard": "dashboard",
            "runs": "runs",
            "run": f"runs/flow-run/{run}",
            "automations": "automations",
            "events": "events",
        }.items():
            for scheme in ("light", "dark"):
                photograph(view, f"{url}/v2/{path}", name, scheme)


if __name__ == "__main__":
    main()
