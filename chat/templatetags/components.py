"""Icons and form rows for templates: `{% load components %}`."""

from __future__ import annotations

from collections.abc import Iterable

from django import template
from django.template.base import FilterExpression, Node, Parser, TextNode, Token
from django.template.context import Context
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

_ICON = '<svg class="icon"><use href="#i-{}"/></svg>'


class IconNode(Node):
    """An icon whose name is a template variable."""

    def __init__(self, name: FilterExpression) -> None:
        self.name = name

    def render(self, context: Context) -> SafeString:
        return format_html(_ICON, self.name.resolve(context))


@register.tag
def icon(parser: Parser, token: Token) -> Node:
    """`{% icon "send" %}`: the symbol `i-send` of the sprite in `_icons.html`.

    A constant name becomes text when the template is compiled: one message shows up to six icons,
    and an include for each would cost more than the rest of the message.
    Raises `TemplateSyntaxError` unless there is exactly one argument.
    """
    bits = token.split_contents()
    if len(bits) != 2:
        raise template.TemplateSyntaxError(f"{bits[0]} takes one argument, the icon's name.")
    node = IconNode(parser.compile_filter(bits[1]))
    return TextNode(node.render(Context())) if isinstance(node.name.var, str) else node


@register.simple_block_tag
def form_row(
    content: str,
    control_id: str,
    label: str,
    help_text: str = "",
    errors: Iterable[str] = (),
    error: str = "",
) -> SafeString:
    """`{% form_row control_id="name" label=_("Name") %}<input id="name">{% endform_row %}`: a control with its label.

    `_fields.html` shows the fields of a form this way; controls without a form field have at most one `error`.
    """
    row = {
        "control_id": control_id,
        "label": label,
        "control": content,
        "help_text": help_text,
        "errors": [error] if error else errors,
    }
    return render_to_string("_form_row.html", row)
