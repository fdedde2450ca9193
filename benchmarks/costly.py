"""Measure how much texts that are slow to render delay the answers of other users.

    python -m benchmarks.costly

Alice reads an answer of one token every 20 ms. Meanwhile Bob sends prompts that are slow to render, gets answers that
are slow to render, and reads them as HTML. Printed are the gaps between arrivals at Alice. Target: under 250 ms.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from pathlib import Path

from tests.fakes import DONE, FakeProvider, Pace, Script, chunk, stream, usage_chunk
from tests.site import Person, Site, ids_in

SECONDS = 12
TOKEN_INTERVAL = 0.02
TEXTS = {
    "nothing": "",
    "plain words": "word " * 6000,
    "unclosed links": "[a](b" * 6000,
    "nested labels": "[[a]](" * 5000,
    "unclosed emphasis": "**a" * 10_000,
    "lists": "- a\n" * 7500,
    "a table": "| a | b |\n|---|---|\n" + "| c | d |\n" * 3000,
    "entities": "&quot;" * 5000,
    "quotes": "> " * 15_000,
    "code": "```python\n" + "f'{" * 10_000,
}


def steady_answer() -> Script:
    tokens = map(chunk, itertools.repeat("x ", int(SECONDS / TOKEN_INTERVAL)))
    return stream(Pace(tokens, TOKEN_INTERVAL), chunk(finish="stop"), usage_chunk(), DONE)


def costly_answer(text: str) -> Script:
    pieces = [chunk(text[at : at + 300]) for at in range(0, len(text), 300)]
    return stream(Pace(pieces, 0.05), chunk(finish="stop"), usage_chunk(), DONE)


def read_gaps(person: Person, answer: str) -> list[float]:
    """Read an answer to its end; return the seconds between two arrivals, sorted."""
    with person.watch(answer, "text") as response:
        arrivals = [time.monotonic() for _ in response.iter_raw()]
    return sorted(later - earlier for earlier, later in itertools.pairwise(arrivals))


def send_costly_texts(person: Person, text: str, until: float) -> None:
    """Send `text` again and again and read the answers, until the monotonic clock says `until`."""
    while text and time.monotonic() < until:
        response = person.send(text)
        if response.status_code != 200:
            time.sleep(0.2)
            continue
        answer = ids_in(response)[1]
        with person.watch(answer, "html") as response:
            for _ in response.iter_raw():
                if time.monotonic() > until:
                    person.post(f"/m/{answer}/stop/")
                    return


def main() -> None:
    print("| costly text | longest gap ms | p99 ms |\n|---|---|---|")
    with FakeProvider() as upstream, tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="sk-bench", LOG_LEVEL="warning")
        site.manage("migrate", "-v", "0")
        site.add_people("alice", "bob")
        site.shell("from chat.models import Plan; Plan.objects.update(requests_per_minute=None, tokens_per_day=None)")
        site.start("uvicorn")
        alice, bob = site.person("alice"), site.person("bob")
        for name, text in TEXTS.items():
            upstream.enqueue(steady_answer())
            upstream.default = lambda _request, text=text: costly_answer(text)
            answer = ids_in(alice.send("go"))[1]
            until = time.monotonic() + SECONDS - 1
            threads = [threading.Thread(target=send_costly_texts, args=(bob, text, until)) for _ in range(2)]
            for thread in threads:
                thread.start()
            gaps = read_gaps(alice, answer)
            for thread in threads:
                thread.join()
            print(f"| {name} | {1e3 * gaps[-1]:.0f} | {1e3 * gaps[int(len(gaps) * 0.99)]:.0f} |")
        site.stop()


if __name__ == "__main__":
    main()
