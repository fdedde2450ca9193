"""A small HTML reader and an htmx stand-in: what a browser's page holds after some partials."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser

VOID = {"br", "hr"}


class Node:
    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Node | str] = []

    def elements(self) -> list[Node]:
        return [child for child in self.children if isinstance(child, Node)]

    def walk(self) -> list[Node]:
        return [self, *(node for child in self.elements() for node in child.walk())]

    def html(self) -> str:
        attributes = "".join(f' {name}="{escape(value)}"' for name, value in sorted(self.attributes.items()))
        if self.tag in VOID:
            return f"<{self.tag}{attributes}>"
        inside = "".join(escape(child) if isinstance(child, str) else child.html() for child in self.children)
        return f"<{self.tag}{attributes}>{inside}</{self.tag}>"


class Reader(HTMLParser):
    """Builds a tree and refuses markup that does not nest."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("root", {})
        self._open = [self.root]
        self.feed(markup)
        self.close()
        assert len(self._open) == 1, f"unclosed {self._open[-1].tag}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"comment {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"declaration {decl!r}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"declaration {data!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"instruction {data!r}")


def read(markup: str) -> Node:
    return Reader(markup).root


def normal(markup: str) -> str:
    return read(markup).html()


@dataclass(frozen=True, kw_only=True)
class Event:
    name: str
    data: str
    id: str


def events_in(stream: bytes) -> list[Event]:
    """The algorithm of the HTML standard, section 9.2.6, for a whole stream."""
    found = []
    name, data, last_id = "", [], ""
    *lines, _ = re.split("\r\n|\r|\n", stream.decode())
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                found.append(Event(name=name or "message", data="\n".join(data), id=last_id))
            name, data = "", []
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return found


class Page:
    """Applies partials the way htmx does: `append`, `innerMorph`, `outerMorph`, `delete`."""

    def __init__(self, dom_id: str, done: str = "", tail: str = "") -> None:
        self.id = dom_id
        self.parts = {"done": read(done), "tail": read(tail), "reasoning": read("")}
        self.article = ""
        self.last_id = ""
        self.closed = False

    def take(self, stream: bytes) -> None:
        for event in events_in(stream):
            self.last_id = event.id
            if event.name == "done":
                self.closed = True
                continue
            for partial in read(event.data).children:
                assert isinstance(partial, Node)
                assert partial.tag == "hx-partial"
                assert set(partial.attributes) == {"hx-target", "hx-swap"}
                self._apply(partial)

    def _apply(self, partial: Node) -> None:
        target, swap = partial.attributes["hx-target"], partial.attributes["hx-swap"]
        if target == f"#{self.id}":
            assert swap == "outerMorph"
            self.article = partial.elements()[0].html()
            return
        parent, node = self._find(target)
        if swap == "append":
            node.children += partial.children
        elif swap == "innerMorph":
            node.children = list(partial.children)
        elif swap == "outerMorph":
            assert parent is not None
            assert len(partial.children) == 1
            parent.children[parent.children.index(node)] = partial.children[0]
        else:
            assert swap == "delete"
            assert parent is not None
            parent.children.remove(node)

    def _find(self, target: str) -> tuple[Node | None, Node]:
        first, *steps = target.split(">")
        name = "tail" if first == "next [id$=tail]" else first.removeprefix(f"#{self.id}-")
        parent, node = None, self.parts[name]
        for step in steps:
            back = 1 if step == ":last-child" else int(re.fullmatch(r":nth-last-child\((\d+)\)", step)[1])
            parent, node = node, node.elements()[-back]
        return parent, node

    def shown(self) -> str:
        root = read("")
        root.children = [*self.parts["done"].children, *self.parts["tail"].children]
        return _joined(root).html()


def _joined(node: Node) -> Node:
    """Neighbouring text as one text, as `read` would give it."""
    copy = Node(node.tag, node.attributes)
    for child in node.children:
        if isinstance(child, Node):
            copy.children.append(_joined(child))
        elif copy.children and isinstance(copy.children[-1], str):
            copy.children[-1] += child
        else:
            copy.children.append(child)
    return copy
