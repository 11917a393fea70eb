"""The index of experiments and the lineage of the weights agree with the log and the runs' logs."""

import csv
import re
from pathlib import Path

import pytest

RESEARCH = Path(__file__).parents[2] / "research"
VERDICT = re.compile(r"kept|not used|open|finding|fixed")
ROWS = list(csv.DictReader((RESEARCH / "lineage.csv").open(encoding="utf-8")))


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("log", sorted((RESEARCH / "log").glob("*.md")), ids=lambda log: log.name)
def test_every_entry_of_the_log_has_a_verdict_and_one_line_in_the_index(log):
    headings = re.findall(r"^### (.+)$", log.read_text(encoding="utf-8"), re.MULTILINE)
    index = (RESEARCH / "README.md").read_text(encoding="utf-8")
    linked = re.findall(rf"\(log/{log.name}#([^)]+)\)", index)
    assert linked == [slug(heading) for heading in headings]
    assert [heading for heading in headings if not VERDICT.search(heading)] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_hours_and_minutes_in_the_lineage_are_those_of_the_run_log(row):
    log = RESEARCH.parent / row["log"]
    with log.open(encoding="utf-8") as file:
        *_, last = csv.DictReader(file)
    expected = last["step"], last["hours"], last["minutes"]
    assert (row["steps"], row["hours"], row["minutes"]) == expected


def test_the_lineage_names_every_log_of_a_run():
    logs = {path.relative_to(RESEARCH.parent).as_posix() for path in RESEARCH.glob("logs/*.csv")}
    assert logs <= {row["log"] for row in ROWS}
