"""Measure the HTML of a streamed answer of about 1,000 tokens: server CPU and bytes sent.

    python benchmarks/live_markdown.py

An answer arrives in tokens of four characters, 100 a second, and is encoded every 85 ms.
Targets: under 150 ms of CPU, under 4 bytes sent for each byte of text.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("SECRET_KEY", "benchmark-only-" + "k" * 40)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")

from chat.events import Delta
from chat.markdown import render
from chat.markdown.code import highlight
from chat.markdown.renderer import render_finished
from chat.streaming.encoders.html import HtmlEncoder

TOKEN = 4
"""Characters."""
TOKENS_A_SECOND = 100
FRAME = 0.085
"""Seconds."""
DOM_ID = "m-0f8fad5b-d9cb-469f-a165-70867728950e"

TYPICAL = """## Reading a large file line by line

Reading everything at once is **simple**, but it keeps the whole file in memory. For files of several \
gigabytes, iterate over the file object instead: Python then reads a buffer at a time and hands you one line \
after the other. The memory in use stays *constant*, whatever the size of the file.

```python
from collections import Counter
from pathlib import Path


def count_status(path: Path) -> Counter[str]:
    \"\"\"Requests per HTTP status in an access log.\"\"\"
    counts: Counter[str] = Counter()
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split()
            if len(fields) > 8:
                counts[fields[8]] += 1
    return counts
```

A few things to note:

1. **Encoding.** `errors="replace"` keeps one broken byte from stopping the run after an hour of work.
2. **Buffering.** The default of 8 KB is fine; a larger one seldom helps, because the operating system reads \
ahead anyway.
3. **Counting.** A `Counter` is a dictionary that starts at zero, so there is no need to ask whether a key \
is there.

### When that is too slow

| Way | Memory | Speed | Use it when |
|---|---|---|---|
| `for line in file` | constant | good | almost always |
| `file.readlines()` | whole file | good | the file is small |
| `mmap` | constant | better | you search for bytes |
| several processes | constant each | best | one core is busy |

If one core is the limit, split the file at line ends and let several processes count their own part. The \
results can be added, since `Counter` supports `+`. Measure before you do: very often the disk is what you \
wait for, and then more processes only make it seek.

> Rule of thumb: first make it correct, then measure, and only then make it fast.

- Start with the plain loop.
- Look at the processor while it runs.
- Only if it is at 100 %, think about [multiprocessing](https://docs.python.org/3/library/multiprocessing.html).

Would you like me to write the version with several processes as well? It needs about thirty more lines, \
most of them to find the line ends at which the file can be cut safely, and a small test with a generated \
log file that shows that both versions count the same.

### One more thing: compressed logs

Old logs are usually compressed. `gzip.open` gives the same kind of file object, so the function above only \
needs another way to open its file:

```python
import gzip


def open_log(path: Path):
    opener = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rt", encoding="utf-8", errors="replace")
```

Decompression costs more time than counting. That changes the sum from above: **the processor** is now the \
limit, not the disk, and several processes do help, as long as there are several files, since one compressed \
file cannot be cut at a line end without reading everything before it.

1. Give each process one file at a time, the largest first.
2. Let it return its own `Counter`.
3. Add them in the parent with `sum(results, Counter())`.

Memory stays small, because a `Counter` of status codes has a few dozen entries. If you count by address \
instead, it may have millions, and then a sketch such as *HyperLogLog* or a database with an index is the \
better tool. For a first look, `zcat access.log.gz | cut -d' ' -f9 | sort | uniq -c` gives you the same numbers \
with no Python at all, and that is often all that anyone wanted to know in the first place.
"""
CODE = (
    "Here it is:\n\n```python\n"
    + "".join(f"def step_{n}(value: int) -> int:\n    return value * {n} + len('step')  # {n}\n" for n in range(100))
    + "```\n\nThat is all.\n"
)
LIST = "".join(
    f"{n}. **Point {n}** says something of middling length about `item_{n}`, and ends.\n" for n in range(1, 57)
)
TABLE = "| Name | Value | Note |\n|---|---:|---|\n" + "".join(
    f"| row {n} | {n * 37} | about row {n} |\n" for n in range(1, 130)
)
PROSE = "\n\n".join(TYPICAL.split("\n\n")[1].replace("*", "") for _ in range(13))


def frames_of(text: str) -> Iterator[list[Delta]]:
    """The events of each frame."""
    tokens = [Delta(text=text[at : at + TOKEN]) for at in range(0, len(text), TOKEN)]
    start = 0
    while start < len(tokens):
        end = start + round(TOKENS_A_SECOND * FRAME)
        yield tokens[start:end]
        start = end


def measure(name: str, text: str) -> None:
    highlight.cache_clear()
    render_finished.cache_clear()
    encoder = HtmlEncoder(message_id=DOM_ID.removeprefix("m-"), after=0)
    sent = frames = 0
    started = time.process_time()
    for events in frames_of(text):
        frame = encoder.encode(events)
        sent += len(frame)
        frames += bool(frame)
    live = time.process_time() - started
    article = f'<article id="{DOM_ID}"><div id="{DOM_ID}-body" hx-ignore>{render(text)}</div></article>'
    last = len(encoder.finish(f'<hx-partial hx-target="#{DOM_ID}" hx-swap="outerMorph">{article}</hx-partial>'))
    cpu = time.process_time() - started
    size = len(text.encode())
    print(
        f"{name:8} {size / TOKEN:6.0f} tokens  {frames:4} frames  CPU {cpu * 1000:6.1f} ms (live {live * 1000:5.1f})  "
        f"sent {(sent + last) / size:4.2f} x text (live {sent / size:4.2f}, final {last / size:4.2f})"
    )


if __name__ == "__main__":
    highlight("python", "x = 1")
    for name, text in {"typical": TYPICAL, "prose": PROSE, "code": CODE, "list": LIST, "table": TABLE}.items():
        measure(name, text)
