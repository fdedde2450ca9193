"""Templates, style sheets and scripts are formatted, small, and refer only to files that exist."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from django.contrib.staticfiles import finders
from django.template.loader import get_template
from django.template.utils import get_app_template_dirs

from tests.site import ROOT

TEMPLATES = ROOT / "templates"
STATIC = ROOT / "static" / "chat"
MAX_LINE = 120
MAX_JAVASCRIPT = 40_000
MAX_CSS = 20_000
# A WebSocket address has no URL name.
LITERAL_URLS = {"/ws/"}


def files(folder: Path, *endings: str) -> list[Path]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in found if not endings or path.suffix in endings]


ALL_TEMPLATES = files(TEMPLATES)
STYLE_SHEETS = files(STATIC, ".css")
OURS = [*ALL_TEMPLATES, *files(STATIC)]


def without_comments(template: str) -> str:
    return re.sub(r"\{#.*?#\}", "", template)


def lines_of(path: Path) -> list[tuple[str, str]]:
    """Each line with its place, "file:line"."""
    lines = path.read_text().splitlines()
    return [(f"{path.relative_to(ROOT)}:{number}", line) for number, line in enumerate(lines, 1)]


def test_no_line_is_too_long() -> None:
    long = [place for path in OURS for place, line in lines_of(path) if len(line) > MAX_LINE]
    assert long == [], f"lines longer than {MAX_LINE} characters"


def test_css_has_one_declaration_a_line() -> None:
    lines = [found for path in STYLE_SHEETS for found in lines_of(path)]
    assert [place for place, line in lines if line.count(";") > 1] == [], "several declarations"
    assert [place for place, line in lines if "{" in line and re.search("[;}]", line)] == [], "a rule in one line"


def packed(*paths: Path) -> int:
    assert paths
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in paths)


def test_all_scripts_together_are_small() -> None:
    assert packed(*files(ROOT / "static", ".js")) <= MAX_JAVASCRIPT


def test_all_style_sheets_together_are_small() -> None:
    assert packed(*files(ROOT / "static", ".css")) <= MAX_CSS


def test_every_template_compiles() -> None:
    for path in ALL_TEMPLATES:
        get_template(str(path.relative_to(TEMPLATES)))


def test_static_files_named_in_templates_exist() -> None:
    named = {name for path in ALL_TEMPLATES for name in re.findall(r"{% static '([^']+)' %}", path.read_text())}
    assert named
    assert [name for name in sorted(named) if finders.find(name) is None] == []


def test_every_script_and_style_sheet_is_used() -> None:
    templates = "".join(path.read_text() for path in ALL_TEMPLATES)
    unused = [
        path.name
        for path in files(ROOT / "static", ".js", ".css")
        if f"{{% static '{path.relative_to(ROOT / 'static')}' %}}" not in templates
    ]
    assert unused == []


def test_scripts_are_deferred_except_htmx() -> None:
    """htmx starts when the page is parsed and the deferred scripts have run; deferred, it would not wait for them."""
    scripts = [tag for path in ALL_TEMPLATES for tag in re.findall(r"<script[^>]*>", path.read_text())]
    assert [tag for tag in scripts if not tag.endswith(" defer>")] == [
        "<script src=\"{% static 'vendor/htmx-4.0.1.min.js' %}\">"
    ]


def test_templates_name_no_url_literally() -> None:
    attribute = re.compile(r"""\b(?:href|src|action|formaction|hx-(?:get|post|put|delete|\w+:connect))=["'](/[^"']*)""")
    found = {url: path.name for path in ALL_TEMPLATES for url in attribute.findall(path.read_text())}
    assert {url: name for url, name in found.items() if url not in LITERAL_URLS} == {}


def test_scripts_name_no_url_literally() -> None:
    for path in files(STATIC, ".js"):
        assert re.findall(r"""["'`]/[\w/-]*["'`]""", path.read_text()) == [], path


def test_every_template_is_used() -> None:
    """By another template, by Python, or because Django looks for a template of this name."""
    templates = {str(path.relative_to(TEMPLATES)): without_comments(path.read_text()) for path in ALL_TEMPLATES}
    python = "".join(path.read_text() for folder in ("chat", "chatsite") for path in (ROOT / folder).rglob("*.py"))
    admin_pages = set(re.findall(r'render_page\(\s*request,\s*"(\w+)"', python))
    known_to_django = {
        str(path.relative_to(folder))
        for folder in get_app_template_dirs("templates")
        for path in folder.rglob("*.html")
    } | {"400.html", "403.html", "403_csrf.html", "404.html", "500.html"}
    of_models = re.compile(r"admin/chat/\w+/change_form\.html")

    def is_used(name: str) -> bool:
        others = (text for other, text in templates.items() if other != name)
        return (
            f'"{name}"' in python
            or name in known_to_django
            or bool(of_models.fullmatch(name))
            or name.removeprefix("admin/chat/").removesuffix(".html") in admin_pages
            or any(re.search(rf'{{% (?:extends|include) "{re.escape(name)}"', text) for text in others)
        )

    assert [name for name in templates if not is_used(name) and name not in USED_BY_AUTH_VIEWS] == []


# `django.contrib.auth.views` name these; the admin has some of them, but not all.
USED_BY_AUTH_VIEWS = {
    "registration/login.html",
    "registration/password_reset_email.html",
    "registration/password_reset_subject.txt",
}


def test_fragments_have_a_leading_underscore() -> None:
    texts = [without_comments(path.read_text()) for path in ALL_TEMPLATES]
    included = {name for text in texts for name in re.findall(r'{% include "([^"]+)"', text)}
    assert [name for name in sorted(included) if not Path(name).name.startswith("_")] == []


def test_every_icon_is_in_the_sprite_and_every_symbol_is_used() -> None:
    sprite = set(re.findall(r'<symbol id="i-([\w-]+)"', (TEMPLATES / "_icons.html").read_text()))
    texts = [path.read_text() for path in (*ALL_TEMPLATES, *files(STATIC, ".js"))]
    named = {
        name for text in texts for name in re.findall(r'{% icon "([\w-]+)"|name="([\w-]+)" look=|"#i-([\w-]+)"', text)
    }
    used = {name for group in named for name in group if name}
    assert used == sprite
