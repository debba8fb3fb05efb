"""A scan that is not in the archive makes the run red; the others are in it."""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.getcwd())
from archive import archive_scans

inbox, archive = Path("inbox"), Path("archive")
inbox.mkdir()
for name in ("hand", "knee", "skull"):
    (inbox / f"{name}.dcm").write_bytes(b"DICM" + name.encode())
(inbox / "knee.dcm").write_bytes(b"")  # the scanner lost its connection

state = archive_scans(inbox, archive, return_state=True)
stored = sorted(file.stem for file in archive.iterdir())
assert stored == ["hand", "skull"], f"in the archive: {stored}"
assert state.name == "Failed", f"the run without a scan is {state.name}"

(inbox / "knee.dcm").write_bytes(b"DICMknee")
state = archive_scans(inbox, archive, return_state=True)
assert state.name == "Completed", state
