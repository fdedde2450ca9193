"""Django's `i18n` tags, for a site of one language too: there what `translate` says never changes.

Half of a page's tags are such words. Where nothing is to be translated they become text when
their template is compiled.
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
    node = i18n.do_translate(parser, token)
    words = node.filter_expression
    is_constant = words.var.literal is not None and not words.filters and not node.message_context
    if settings.USE_I18N or node.asvar or not is_constant:
        return node
    return TextNode(node.render(Context()))
