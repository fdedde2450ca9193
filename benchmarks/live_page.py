"""Measure what a streamed answer costs the browser: main-thread time in Chromium, at 100 tokens a second.

    python -m benchmarks.live_page

Target: under 800 ms of tasks in ten seconds, which is what an answer of about 1,000 tokens takes.
"""

from __future__ import annotations

import shutil
from typing import Any

from playwright.sync_api import expect, sync_playwright

from benchmarks.live_markdown import CODE, TOKEN, TOKENS_A_SECOND, TYPICAL
from benchmarks.relay.candidates import chatsite
from tests.fakes import DONE, FakeProvider, Pace, Script, chunk, stream, usage_chunk

LONG_TASKS = """
window.longest = 0;
new PerformanceObserver(list => { for (const task of list.getEntries()) longest = Math.max(longest, task.duration); })
    .observe({type: "longtask", buffered: false});
"""


def paced_answer(text: str) -> Script:
    pieces = [chunk(text[at : at + TOKEN]) for at in range(0, len(text), TOKEN)]
    return stream(Pace(pieces, 1 / TOKENS_A_SECOND), chunk(finish="stop"), usage_chunk(9, len(pieces)), DONE)


def task_time(devtools: Any) -> float:
    """Milliseconds of main-thread tasks since the page was opened."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return 1e3 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def main() -> None:
    with FakeProvider() as upstream, chatsite(upstream.url, 1, "0") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        home = f"http://127.0.0.1:{server.port}"
        for name, text in (("typical", TYPICAL), ("200 lines of code", CODE)):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            context.add_cookies([{"name": "sessionid", "value": server.users[0].session, "url": home}])
            page = context.new_page()
            page.goto(home)
            devtools = context.new_cdp_session(page)
            devtools.send("Performance.enable")
            page.wait_for_timeout(2000)
            idle = task_time(devtools)
            page.wait_for_timeout(5000)
            idle = (task_time(devtools) - idle) / 5
            upstream.enqueue(paced_answer(text))
            page.evaluate(LONG_TASKS)
            before = task_time(devtools)
            page.get_by_role("textbox", name="Message").fill("Go on.")
            page.get_by_role("button", name="Send", exact=True).click()
            answer = page.locator("article[data-role=assistant]").last
            expect(answer).to_have_attribute("data-status", "complete", timeout=60_000)
            seconds = len(text) / TOKEN / TOKENS_A_SECOND
            spent, longest = task_time(devtools) - before, page.evaluate("longest")
            print(
                f"{name:18} {spent:6.0f} ms of tasks in {seconds:.0f} s ({10 * spent / seconds:.0f} in ten; "
                f"an idle page {10 * idle:.0f}), the longest {longest:.0f} ms"
            )
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
