"""The texts of the demo model."""

from __future__ import annotations

import re

MAX_QUOTE_LENGTH = 400

HELP = """\
I am the **demo model**. The first word of a message may be a command:

| command | what I do |
| --- | --- |
| `/slow` | answer at four tokens a second |
| `/fast` | answer without any delay |
| `/long` | write about 2,000 tokens |
| `/think` | reason first, then answer |
| `/markdown` | show every part of Markdown |
| `/code` | write a long code block |
| `/echo text` | repeat `text` exactly |
| `/fail what` | fail in one of the ways below |
| `/help` | show this list |

`/fail` simulates, from the provider: `400` `401` `403` `404` `429` `quota` `toolong` `500` `502` `503`; \
from the network: `unreachable` `timeout` `cut` `stall` `html` `error`; \
from the model: `empty` `refuse` `filter` `length`.
"""

NOTHING_LEFT = "There is nothing left to continue: my last answer was complete. Ask me something else, or try `/help`."

REFUSAL = "I cannot help with that. (This is what a refusal by the model looks like.)"

REASONING = """\
The person wants to see how reasoning looks before an answer. \
First I should say who I am. Then I should keep it short, because reasoning is folded away once the answer starts. \
Now I know what to say.
"""

STORY = """\
A lighthouse keeper once wrote a letter every night and sent it out to sea in a bottle. \
He never got an answer, and he did not mind: the writing kept him awake, and being awake kept the light burning. \
Years later a ship's captain brought him a crate. In it were all his letters, dried and sorted by date, \
and on top lay a note: *We steered by your lamp, and read these while we waited for the fog to lift.*
"""

CODE = '''\
Here is a small, complete program: a token bucket.

```python
"""A token bucket: limits the average rate and allows short bursts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Bucket:
    capacity: float
    per_second: float
    level: float = field(init=False)
    updated: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = self.capacity

    def refill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + (now - self.updated) * self.per_second)
        self.updated = now

    def take(self, amount: float = 1.0) -> float:
        """Take the amount and return 0, or return the seconds to wait."""
        self.refill(time.monotonic())
        if amount <= self.level:
            self.level -= amount
            return 0.0
        return (amount - self.level) / self.per_second


def main() -> None:
    bucket = Bucket(capacity=5, per_second=2)
    for number in range(12):
        while (pause := bucket.take()) > 0:
            print(f"{number:>2}: waiting {pause:.2f} s")
            time.sleep(pause)
        print(f"{number:>2}: go")


if __name__ == "__main__":
    main()
```

The first five calls pass immediately, the others at two a second.
'''

MARKDOWN = """\
# A tour of Markdown

Plain text with **bold**, *italic*, ***both***, ~~struck out~~ and `code`. \
A [link](https://www.djangoproject.com/), and a bare one: <https://htmx.org/>.

## Lists

- one
- two
  - nested
  - nested too
- three

1. first
2. second
3. third

- [x] done
- [ ] to do

## Quotes

> A quote
> over two lines.
>
> > And one inside it.

## A table

| left | centre | right |
| :--- | :---: | ---: |
| a | b | 1 |
| longer text | *styled* | 1,000 |

## Code

```python
def greet(name: str) -> str:
    return f"Hello, {name}!"
```

```
no language, and a very long line that has to scroll sideways instead of making the whole page wider than it is
```

---

### Text that must not be interpreted

<b>HTML</b> is shown as text, and so is <script>alert("no")</script>.

Unicode: naïve café, Straße, Ελληνικά, עברית, 日本語, 👩‍🚀 🇪🇺.
"""


def quoted(text: str) -> str:
    """The text as an indented code block, so that none of it is interpreted as Markdown."""
    short = text.strip()
    if len(short) > MAX_QUOTE_LENGTH:
        short = short[:MAX_QUOTE_LENGTH].rstrip() + " …"
    return "\n".join("    " + line for line in re.split(r"\r\n|[\r\n]", short))


def welcome(question: str) -> str:
    """The answer to a question that is not a command: quotes it and tells how to connect a model."""
    quote = f"You wrote:\n\n{quoted(question)}\n\n" if question.strip() else ""
    return f"""\
This is the **demo model**. It cannot answer questions; everything else on this site works.

{quote}To connect a real model, put this into `.env` and restart the site:

```ini
OPENAI_API_KEY=your-key
# only for another provider or your own server:
OPENAI_BASE_URL=http://127.0.0.1:11434/v1
```

| server | address |
| --- | --- |
| Ollama | `http://127.0.0.1:11434/v1` |
| vLLM | `http://127.0.0.1:8000/v1` |
| llama.cpp | `http://127.0.0.1:8080/v1` |

Until then you can

- watch an answer **stream**, and stop it;
- try `/long`, `/think` or `/markdown`;
- cause an error with `/fail 429`. `/help` lists all commands.
"""


def long() -> str:
    """A story of about 2,000 tokens."""
    days = [f"## Day {number}\n\n{STORY}" for number in range(1, 22)]
    return "# The lighthouse keeper\n\n" + "\n".join(days)
