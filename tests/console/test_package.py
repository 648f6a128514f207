"""What is built carries everything that pages need: templates, style sheets, scripts, and htmx out of its package."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = "demur/console"
HTMX = f"{CONSOLE}/static/htmx.min.js"

pytestmark = pytest.mark.slow


def clone(folder: Path) -> Path:
    """The project as version control keeps it: without what is made."""
    made = shutil.ignore_patterns("__pycache__", "htmx.min.js")
    shutil.copytree(ROOT / "src", folder / "src", ignore=made)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    for name in ("docs", "examples"):
        (folder / name).mkdir()
    return folder


def build(folder: Path, target: str, *, without_packages: bool = False) -> subprocess.CompletedProcess[str]:
    """Without packages the build finds hatchling and what it needs, but not the one that htmx comes from."""
    hidden = "import sys; sys.modules['django_htmx'] = None; " if without_packages else ""
    program = f"{hidden}from hatchling.cli import hatchling; import sys; sys.argv = ['hatchling', 'build', '-t', '{target}', '-d', 'dist']; hatchling()"
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)


def test_a_wheel_carries_pages_styles_scripts_and_htmx(tmp_path: Path) -> None:
    folder = clone(tmp_path)
    built = build(folder, "wheel")
    assert built.returncode == 0, built.stderr

    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        htmx = opened.read(HTMX)
    kept = ROOT / "src" / CONSOLE
    wanted = {
        f"{CONSOLE}/{path.relative_to(kept).as_posix()}"
        for path in kept.rglob("*")
        if path.suffix in {".html", ".css", ".js", ".svg", ".py"}
    }
    assert wanted | {HTMX} <= names
    assert htmx == files("django_htmx").joinpath("static/django_htmx/htmx-2.min.js").read_bytes()
    assert not [name for name in names if "django" in name]


def test_a_source_distribution_builds_without_the_package_that_htmx_comes_from(tmp_path: Path) -> None:
    folder = clone(tmp_path)
    assert build(folder, "sdist").returncode == 0
    (archive,) = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    built = build(unpacked, "wheel", without_packages=True)

    assert built.returncode == 0, built.stderr
    (wheel,) = (unpacked / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        assert HTMX in opened.namelist()


def test_a_wheel_that_would_lack_htmx_is_not_built(tmp_path: Path) -> None:
    built = build(clone(tmp_path), "wheel", without_packages=True)

    assert built.returncode != 0
    assert "django-htmx" in built.stderr
