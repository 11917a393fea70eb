"""Do the tests see a fault? python bench/faults.py [WORD...]

Plants each fault of bench/planted.py, or those whose file or text holds one of the words, on its
own in a temporary copy of the checkout, and runs the tests that must fail. Prints a table: caught,
SURVIVED, or absent where the text is no longer in the file. Exit code 1 unless all were caught.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from planted import FAULTS, Fault

ROOT = Path(__file__).parents[1]


def copy(folder: Path) -> None:
    """What git tracks, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    # Publishing a Space needs a checkout
    for command in (["git", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=folder, check=True)


def passes(folder: Path, tests: str) -> bool:
    """Whether the tests pass there; True is what a fault must not leave."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()]
    # Without bytecode: a file planted and mended within a second would be taken for the same
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return not subprocess.run(command, cwd=folder, env=environment, capture_output=True).returncode


def outcome(folder: Path, fault: Fault) -> str:
    path = folder / fault.file
    source = path.read_text(encoding="utf-8") if path.exists() else ""
    if fault.text not in source:
        return "absent"
    path.write_text(source.replace(fault.text, fault.planted, 1), encoding="utf-8")
    try:
        return "SURVIVED" if passes(folder, fault.tests) else "caught"
    finally:
        path.write_text(source, encoding="utf-8")


def main(words: list[str]) -> int:
    """The command line; returns the exit code."""
    chosen = [
        fault
        for fault in FAULTS
        if not words or any(word in fault.file + fault.text for word in words)
    ]
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        copy(folder)
        for tests in dict.fromkeys(fault.tests for fault in chosen):
            if not passes(folder, tests):
                print(f"{tests} fails without a fault: mend it first.", file=sys.stderr)
                return 1
        print("| outcome | file | text |\n|:--|:--|:--|")
        for fault in chosen:
            outcomes.append(outcome(folder, fault))
            print(f"| {outcomes[-1]} | {fault.file} | `{fault.text[:60]}` |", flush=True)
    return int(set(outcomes) != {"caught"})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
