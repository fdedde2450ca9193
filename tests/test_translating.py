"""Words in templates: translated when shown, or once where there is only one language."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.template import Context, Template
from django.template.base import TextNode
from django.utils import translation

ODD = ["'100 %'", "'a %s <b> & \"c\"'", "'Zoë' noop", '"it\'s"']


def shown(source: str) -> str:
    return Template(source).render(Context({"name": "<Zoë>"}))


@pytest.mark.parametrize("words", ODD)
def test_with_one_language_words_are_text_and_read_as_django_shows_them(words: str) -> None:
    [node] = Template(f"{{% translate {words} %}}").nodelist
    assert isinstance(node, TextNode)
    assert node.s == shown(f"{{% load i18n %}}{{% translate {words} %}}")


@pytest.mark.parametrize("words", ["name", "'Save'|add:name", "'Save' context name", "'Save' as save"])
def test_what_is_not_a_constant_is_looked_up_when_it_is_shown(words: str) -> None:
    source = f"{{% translate {words} %}}{{{{ save }}}}"
    assert shown(source) == shown("{% load i18n %}" + source)


def test_with_several_languages_words_are_in_that_of_the_moment(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USE_I18N = True
    monkeypatch.setattr(translation, "_trans", type(translation._trans)())
    template = Template("{% translate 'Save' %}")
    seen = []
    for language in ("de", "en", "fr"):
        with translation.override(language):
            seen.append(template.render(Context()))
    assert seen == ["Sichern", "Save", "Enregistrer"]
