"""Frames stream: what a process keeps for itself does not grow with the length of a trajectory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from mdtraj.formats import XTCTrajectoryFile

from moedsr.structures.ensemble import find_ensembles

FRAMES = (101, 10_001)  # the latter as ATLAS has it
PROGRAM = """
import json, sys
from pathlib import Path
from moedsr.structures.frame_plan import plan_frames
from moedsr.structures.trajectory import frame_count, load_structure, read_frames

def kib(*keys):
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(keys))

structure, short, path = load_structure(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
list(read_frames(structure, [short], plan_frames([100], 20, "concat")))  # all that is loaded and compiled once
before = kib("Anonymous:")
count, most, mapped = frame_count(path, structure), 0, 0
for number, _ in enumerate(read_frames(structure, [path], plan_frames([count], 200, "concat"))):
    if number % 10 == 0:
        most = max(most, kib("Anonymous:") - before)
print(json.dumps([count, most, kib("Private_Dirty:", "Shared_Dirty:") - before]))
"""


@pytest.fixture(scope="module")
def long_trajectories(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    ensemble = next(one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A")
    with XTCTrajectoryFile(str(ensemble.trajectories[0])) as file:
        frames = file.read()[0]
    paths = [tmp_path_factory.mktemp("long") / f"{count}.xtc" for count in FRAMES]
    for count, path in zip(FRAMES, paths, strict=True):
        with XTCTrajectoryFile(str(path), "w") as file:
            for start in range(0, count, 100):
                file.write(frames[: min(100, count - start)])
    return paths


def test_memory_does_not_grow_with_the_trajectory(long_trajectories: list[Path]) -> None:
    """All frames of the long one would take 73 MB; the pages of the mapped file are clean, and taken back at need."""
    ensemble = next(one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A")
    for expected, path in zip(FRAMES, long_trajectories, strict=True):
        command = [sys.executable, "-c", PROGRAM, str(ensemble.topology), str(ensemble.trajectories[0]), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        count, grown, dirty = json.loads(done.stdout)
        print(f"{count} frames, {path.stat().st_size / 1e6:.1f} MB: {grown} KiB more of its own memory")  # noqa: T201
        assert count == expected
        assert grown < 4096
        assert dirty < 4096
