"""Django's `i18n` tags, with a `translate` that costs nothing on a site of one language.

About half of the tags of a page are `translate` with a constant. With `USE_I18N = False` such a tag becomes plain text
when its template is compiled.
"""

from __future__ import annotations

from django import template
from django.conf import settings
from django.template.base import Node, Parser, TextNode, Token
from django.template.context import Context
from django.templatetags import i18n

register = template.Library()
register.tags.update(i18n.register.tags)
register.filters.update(i18n.register.filters)


@register.tag("trans")
@register.tag("translate")
def translate(parser: Parser, token: Token) -> Node:
    """Django's tag; a text node where the text is constant and translations are off."""
    node = i18n.do_translate(parser, token)
    text = node.filter_expression
    is_constant = text.var.literal is not None and not text.filters and not node.message_context
    if settings.USE_I18N or node.asvar or not is_constant:
        return node
    return TextNode(node.render(Context()))
