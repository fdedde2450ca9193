"""How long one person's costly texts hold up everybody else's answers.

    python -m benchmarks.costly

Alice reads an answer of a token every 20 ms while Bob sends prompts and gets answers made to be
slow to render, and watches them as HTML. The gaps are between arrivals at Alice. Target: under 250 ms.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from pathlib import Path

from tests.fakes import DONE, FakeUpstream, Pace, Script, chunk, stream, usage_chunk
from tests.site import Person, Site, ids_in

SECONDS = 12
EVERY = 0.02
TEXTS = {
    "nothing": "",
    "plain words": "word " * 6000,
    "half links": "[a](b" * 6000,
    "nested labels": "[[a]](" * 5000,
    "open marks": "**a" * 10_000,
    "lists": "- a\n" * 7500,
    "a table": "| a | b |\n|---|---|\n" + "| c | d |\n" * 3000,
    "entities": "&quot;" * 5000,
    "quotes": "> " * 15_000,
    "code": "```python\n" + "f'{" * 10_000,
}


def steady() -> Script:
    said = map(chunk, itertools.repeat("x ", int(SECONDS / EVERY)))
    return stream(Pace(said, EVERY), chunk(finish="stop"), usage_chunk(), DONE)


def costly(text: str) -> Script:
    pieces = [chunk(text[at : at + 300]) for at in range(0, len(text), 300)]
    return stream(Pace(pieces, 0.05), chunk(finish="stop"), usage_chunk(), DONE)


def gaps(person: Person, answer: str) -> list[float]:
    with person.watch(answer, "text") as response:
        arrivals = [time.monotonic() for _ in response.iter_raw()]
    return sorted(later - earlier for earlier, later in itertools.pairwise(arrivals))


def attack(person: Person, text: str, until: float) -> None:
    while text and time.monotonic() < until:
        response = person.send(text)
        if response.status_code != 200:
            time.sleep(0.2)
            continue
        answer = ids_in(response)[1]
        with person.watch(answer, "html") as watched:
            for _ in watched.iter_raw():
                if time.monotonic() > until:
                    person.post(f"/m/{answer}/stop/")
                    return


def main() -> None:
    print("| costly text | longest gap ms | p99 ms |\n|---|---|---|")
    with FakeUpstream() as upstream, tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="sk-bench", LOG_LEVEL="warning")
        site.manage("migrate", "-v", "0")
        site.add_people("alice", "bob")
        site.shell("from chat.models import Plan; Plan.objects.update(requests_per_minute=None, tokens_per_day=None)")
        site.start("uvicorn")
        alice, bob = site.person("alice"), site.person("bob")
        for name, text in TEXTS.items():
            upstream.enqueue(steady())
            upstream.default = lambda _request, text=text: costly(text)
            answer = ids_in(alice.send("go"))[1]
            until = time.monotonic() + SECONDS - 1
            attackers = [threading.Thread(target=attack, args=(bob, text, until)) for _ in range(2)]
            for attacker in attackers:
                attacker.start()
            seen = gaps(alice, answer)
            for attacker in attackers:
                attacker.join()
            print(f"| {name} | {1e3 * seen[-1]:.0f} | {1e3 * seen[int(len(seen) * 0.99)]:.0f} |")
        site.stop()


if __name__ == "__main__":
    main()
