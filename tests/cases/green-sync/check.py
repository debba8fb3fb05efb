"""A sync that stops half way is red, and is not noted as done."""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.getcwd())
from pictures import publish_pictures

source, target = Path("new").absolute(), Path("srv/pictures").absolute()
for folder in (source, target):
    folder.mkdir(parents=True)
for name in ("lamp", "sofa", "table"):
    (source / f"{name}.jpg").touch()

state = publish_pictures(source, target, limit=1, return_state=True)
there = len([*target.iterdir()])
assert there == 1, f"{there} pictures on a disk with room for one"
assert state.name == "Failed", f"1 of 3 pictures, and the run is {state.name}"
assert not Path("srv/last-sync.txt").exists(), "it is noted as done"

for picture in target.iterdir():
    picture.unlink()
state = publish_pictures(source, target, return_state=True)
assert state.name == "Completed", state
assert len([*target.iterdir()]) == 3
assert Path("srv/last-sync.txt").exists()
