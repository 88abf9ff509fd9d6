"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app.py"
SOURCES = [APP, *sorted((ROOT / "gradflow").rglob("*.py"))]
