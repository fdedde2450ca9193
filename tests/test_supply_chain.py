"""What the site ships is what was checked, and some things are not written here."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "static" / "vendor"
FORBIDDEN = {
    r"\bmark_safe\b": "*.py",
    r"\bRawSQL\b": "*.py",
    r"^DEBUG\s*=\s*True": "*.py",
    r"\|\s*safe(seq)?\b": "*.html",
    r"\|\s*safe\b": "*.txt",
    r"autoescape\s+off": "*.html",
    r"\bcsrf_exempt\b": "*.py",
    r"\.raw\(": "*.py",
    r"\.extra\(": "*.py",
    r"\bpickle\b": "*.py",
    r"verify\s*=\s*False": "*.py",
    r"\beval\(": "*.py",
    r"\shx-on[:-]": "*.html",
    r"\bjs:": "*.html",
    r"\son[a-z]+=": "*.html",
    r"\sstyle=": "*.html",
    r"<style|<script(?![^>]* src=)": "*.html",
}


def tracked(pattern: str, *folders: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--", *(f"{folder}/**/{pattern}" for folder in folders)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_vendored_scripts_are_the_recorded_ones() -> None:
    recorded = dict(reversed(line.split()) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.js")}
    assert found == recorded
    assert recorded["htmx-4.0.1.min.js"] == "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_what_must_not_be_written_is_not(pattern: str) -> None:
    for path in tracked(FORBIDDEN[pattern], "chat", "chatsite", "templates"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not re.search(pattern, line), f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def test_every_requirement_is_pinned_with_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text())
        packages = [block for block in blocks if re.match(r"[a-z0-9]", block)]
        assert packages
        for block in packages:
            assert "==" in block.splitlines()[0], block
            assert "--hash=sha256:" in block, block
