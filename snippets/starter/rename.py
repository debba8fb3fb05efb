"""Give the project a name of your own: `python rename.py fuel-prices`."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = {".git", ".venv"}

if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", " ".join(sys.argv[1:])):
    sys.exit("Give a name of two words or more, such as fuel-prices.")
new = sys.argv[1]
for file in HERE.rglob("*"):
    if file.is_file() and not KEPT & set(file.relative_to(HERE).parts):
        text = file.read_bytes()
        for old, name in (
            ("daily-sales", new),
            ("daily_sales", new.replace("-", "_")),
        ):
            text = text.replace(old.encode(), name.encode())
            text = text.replace(old.upper().encode(), name.upper().encode())
        file.write_bytes(text)
(HERE / "src/daily_sales").rename(HERE / "src" / new.replace("-", "_"))
Path(__file__).unlink()
