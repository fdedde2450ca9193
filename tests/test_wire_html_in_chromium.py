"""The frames in a real browser with the vendored htmx: its page ends as the whole text renders."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import settings

from chat.events import Delta, Reasoning
from chat.markdown import LiveMarkdown, render
from chat.streaming.encoders.html import HtmlEncoder
from tests.conftest import require_service

MESSAGE_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ID = f"m-{MESSAGE_ID}"
TEXT = (
    """# One *head*

Text with **bold**, `code`, [a link](https://x.example) and <b>raw</b>.

- x

- y **b**

  para

> q
> - z

1. one
2. two
   - nested

```js
let a = '</pre>'


\tb
```

| a | b |
|:--|--:|
| 1 | `x` |
| 2 | ~~y~~ |

<hx-partial hx-target="body">gone</hx-partial>

***
end
"""
    * 3
)
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"


def live_page(shown: int) -> str:
    done, tail = LiveMarkdown.snapshot(TEXT[:shown])
    return f"""<!doctype html><title>t</title><meta name="htmx-config" content='{{"morphSkip": ".code-head"}}'>
        <article id="{ID}" data-status="streaming">
        <div id="{ID}-live" hx-sse:connect="/stream" hx-sse:close="done" hx-swap="none" hx-trigger="load, every 10s"
             hx-headers='{{"Last-Event-ID": "{shown}"}}'></div>
        <details id="{ID}-think"><summary>Thoughts</summary><div id="{ID}-reasoning"></div></details>
        <div id="{ID}-body" hx-ignore><div id="{ID}-done">{done}</div><div id="{ID}-tail">{tail}</div></div></article>
        <script src="/vendor/htmx-4.0.1.min.js"></script><script src="/vendor/hx-sse-4.0.1.min.js"></script>"""


def frames(shown: int) -> Iterator[bytes]:
    encoder = HtmlEncoder(message_id=MESSAGE_ID, after=shown)
    yield encoder.encode([Reasoning(text="Think <b>\n")])
    yield encoder.encode([Reasoning(text="more")])
    for at in range(0, len(TEXT), 25):
        yield encoder.encode([Delta(text=TEXT[at : at + 25])])
    body = f'<div id="{ID}-body" hx-ignore><div id="{ID}-done">{render(TEXT)}</div><div id="{ID}-tail"></div></div>'
    reasoning = f'<details id="{ID}-think"><div id="{ID}-reasoning">Think &lt;b&gt;\nmore</div></details>'
    article = f'<article id="{ID}" data-status="complete">{reasoning}{body}</article>'
    yield encoder.finish(f'<hx-partial hx-target="#{ID}" hx-swap="outerMorph">{article}</hx-partial>')


class Site(BaseHTTPRequestHandler):
    connections: list[str | None] = []

    def do_GET(self) -> None:
        if self.path == "/stream":
            seen = self.headers["Last-Event-ID"]
            self.connections.append(seen)
            self.answer("text/event-stream", *frames(int(seen)))
        elif self.path.startswith("/vendor/"):
            self.answer("text/javascript", (settings.BASE_DIR / "static" / self.path[1:]).read_bytes())
        else:
            self.answer("text/html; charset=utf-8", live_page(int(self.path[1:])).encode())

    def answer(self, content_type: str, *parts: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        for part in parts:
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        require_service("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize("shown", [0, 333])
def test_the_streamed_page_equals_the_rendered_text(browser: Any, address: str, shown: int) -> None:
    page, complaints = browser.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    Site.connections.clear()
    page.goto(f"{address}/{shown}")
    page.wait_for_selector("article[data-status=complete]")
    content = "id => document.getElementById(id).innerHTML"
    streamed = page.evaluate(content, f"{ID}-done") + page.evaluate(content, f"{ID}-tail")
    assert page.evaluate(content, f"{ID}-reasoning") == "Think &lt;b&gt;\nmore"
    parse = "markup => { const div = document.createElement('div'); div.innerHTML = markup; return div.innerHTML }"
    assert streamed == page.evaluate(parse, render(TEXT))
    assert page.locator("[hx-sse\\:connect]").count() == 0
    assert Site.connections == [str(shown)]
    assert [text for text in complaints if "favicon" not in text and "404" not in text] == []
    page.close()
