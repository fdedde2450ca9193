"""One site with the demo model and one Chromium for all tests in this folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require_service
from tests.site import ROOT, Site

# Milliseconds; a busy machine is slow.
PATIENCE = 30_000
SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
PEOPLE = """
from chat.models import LimitOverride, Plan, User
Plan.objects.update(requests_per_minute=None)
def person(name, **fields):
    return User.objects.create_user(name, password=name + "-password", **fields)
person("carol", enter_sends=False)
person("dave", theme="dark")
person("erin")
for name in ("mallory-desktop", "mallory-phone"):
    LimitOverride.objects.create(user=person(name), rule="requests_per_minute", value=1, reason="test")
"""
SHOWCASE = r"""
import datetime as dt
from django.utils import timezone
from chat.models import Conversation, Message, User
text = '''# Head

Words, **bold** and `code`, [a link](https://example.org/).

> A quote

| left | right |
| :--- | ---: |
| a | 1 |

```python
def greet(name: str) -> str:
    # A comment.
    return f"Hello, {name}! {42}"
```

```
a line without a language that is much too long for any window of a phone and has to scroll in its own box
```

1. first
2. second

The end of the answer.'''
conversation = Conversation.objects.create(user=User.objects.get(username="alice"), title="Showcase")
parent, now = None, timezone.now() - dt.timedelta(days=1)
for status, code in [
    ("failed", "upstream-busy"), ("failed", "context-too-long"), ("failed", "internal"), ("interrupted", "restarted"),
    ("truncated", ""), ("filtered", ""), ("refused", ""), ("stopped", ""), ("complete", ""),
]:
    now += dt.timedelta(minutes=1)
    parent = Message.objects.create(
        conversation=conversation, parent=parent, role="user", content="Show **me**\n\n- one\n- `two`",
        created_at=now, finished_at=now,
    )
    parent = Message.objects.create(
        conversation=conversation, parent=parent, role="assistant", status=status, error_code=code, reasoning="Hm.",
        model="gpt-4o-mini", completion_tokens=1234, content="" if status == "failed" else text,
        turns_left_out=2 if status == "complete" else 0,
        created_at=now + dt.timedelta(seconds=1), finished_at=now + dt.timedelta(seconds=4),
    )
Conversation.objects.filter(pk=conversation.pk).update(head=parent)
print(conversation.pk)
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test sets up the site and the browser; that does not count as its own time."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(180, func_only=True))


@pytest.fixture(scope="package")
def chat_site(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("browser")
    shutil.copy(migrated, folder / "site.sqlite3")
    site = Site(folder)
    site.shell(PEOPLE)
    site.start()
    yield site
    site.stop()


@pytest.fixture(scope="package")
def showcase(chat_site: Site) -> str:
    """The address of a conversation of alice with an answer of every kind."""
    return f"/c/{chat_site.shell(SHOWCASE)}/"


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        require_service("Chromium is not installed")
    sync_api.expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def axe() -> str:
    path = ROOT / "tests/js/node_modules/axe-core/axe.min.js"
    if not path.exists():
        require_service("axe-core is not installed (npm ci in tests/js)")
    return path.read_text()


@dataclass
class Browser:
    """Opens pages for people; `complaints` are the errors a page wrote to its console."""

    chromium: Any
    site: Site
    logins: dict[str, Any]
    contexts: list[Any]
    complaints: list[str]

    def context(self, name: str | None = "alice", size: str = "desktop", **options: Any) -> Any:
        state = self._login(name) if name else None
        context = self.chromium.new_context(
            base_url=self.site.url, storage_state=state, reduced_motion="reduce", **{**SIZES[size], **options}
        )
        context.set_default_timeout(PATIENCE)
        context.on("console", self._listen)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.contexts.append(context)
        return context

    def open(self, path: str = "/", name: str | None = "alice", size: str = "desktop", **options: Any) -> Any:
        page = self.context(name, size, **options).new_page()
        page.goto(path)
        return page

    def _login(self, name: str) -> Any:
        if name not in self.logins:
            context = self.chromium.new_context(base_url=self.site.url)
            page = context.new_page()
            page.goto("/accounts/login/")
            log_in(page, name)
            self.logins[name] = context.storage_state()
            context.close()
        return self.logins[name]

    def _listen(self, message: Any) -> None:
        expected = ("Failed to load resource", "WebSocket is closed before", "WebSocket connection to", "ws:error")
        if message.type in ("error", "warning") and not any(text in message.text for text in expected):
            self.complaints.append(message.text)


def log_in(page: Any, name: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(f"{name}-password")
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Message").wait_for()


@pytest.fixture(scope="package")
def logins() -> dict[str, Any]:
    return {}


@pytest.fixture
def browser(chromium: Any, chat_site: Site, logins: dict[str, Any]) -> Iterator[Browser]:
    browser = Browser(chromium=chromium, site=chat_site, logins=logins, contexts=[], complaints=[])
    yield browser
    for context in browser.contexts:
        context.close()
    assert browser.complaints == []


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def violations(axe: str, browser: Browser) -> Callable[[Any], list[str]]:
    """What axe-core finds wrong on a page, one line for each fault; in the dark only contrast can differ."""

    def found(page: Any, scheme: str, **options: Any) -> list[str]:
        page.emulate_media(color_scheme=scheme)
        page.evaluate("Promise.allSettled(document.getAnimations().map(each => each.finished))")  # colours may fade
        result = page.evaluate("options => axe.run(document, options)", {"resultTypes": ["violations"], **options})
        return [
            f"{scheme}: {fault['id']}: {node['target']} {node['failureSummary']}"
            for fault in result["violations"]
            for node in fault["nodes"]
        ]

    def check(page: Any) -> list[str]:
        said = len(browser.complaints)
        page.evaluate(axe)
        faults = found(page, "dark", runOnly=["color-contrast"]) + found(page, "light")
        del browser.complaints[said:]  # axe puts inline styles on what it measures
        return faults

    return check
