"""The tag `translate`: plain text on a site of one language, else looked up for each request."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.template import Context, Template
from django.template.base import TextNode

from tests.site import ROOT

SPECIAL = ["'100 %'", "'a %s <b> & \"c\"'", "'Zoë' noop", '"it\'s"']
SCRIPT = """
import django
django.setup()
from django.template import Context, Template
from django.utils import translation
template = Template("{% translate 'Save' %}")
for language in ("de", "en", "fr"):
    with translation.override(language):
        print(template.render(Context()))
"""


def rendered(source: str) -> str:
    return Template(source).render(Context({"name": "<Zoë>"}))


@pytest.mark.parametrize("text", SPECIAL)
def test_with_one_language_a_constant_is_a_text_node(text: str) -> None:
    [node] = Template(f"{{% translate {text} %}}").nodelist
    assert isinstance(node, TextNode)


@pytest.mark.parametrize("text", SPECIAL)
def test_a_constant_is_rendered_as_by_django(text: str) -> None:
    assert rendered(f"{{% translate {text} %}}") == rendered(f"{{% load i18n %}}{{% translate {text} %}}")


@pytest.mark.parametrize("text", ["name", "'Save'|add:name", "'Save' context name", "'Save' as save"])
def test_what_is_not_a_constant_is_rendered_as_by_django(text: str) -> None:
    source = f"{{% translate {text} %}}{{{{ save }}}}"
    assert rendered(source) == rendered("{% load i18n %}" + source)


def test_with_several_languages_a_constant_is_translated_when_it_is_rendered() -> None:
    """In a process of its own, because Django reads `USE_I18N` once."""
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.translated_settings"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Sichern", "Save", "Enregistrer"]
