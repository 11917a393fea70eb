"""No test sleeps or reads a clock: on a busy machine either decides by chance."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CLOCKS = {"sleep", "wait_for_timeout", "now", "utcnow", "time", "time_ns", "perf_counter"}
CLOCKS |= {"perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "thread_time"}
OF_BROWSERS = ("setTimeout", "setInterval", "performance.now", "Date.now", "networkidle")
ALLOWED = {
    # `until` waits for a condition; its limit only ends a test that would hang
    "conftest.py": {"time.monotonic", "time.sleep"},
    # the page is given a slow network, a clock that jumps, and patience that ends at once
    "browser/test_live_trouble.py": {"performance.now", "setTimeout"},
}


def clocks(source: str) -> set[str]:
    """What a program calls or quotes that waits for a time or tells it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            called = ast.unparse(node.func)
            if called.rsplit(".", 1)[-1] in CLOCKS:
                found.add(called)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {word for word in OF_BROWSERS if word in node.value}
    return found


def test_no_test_sleeps_or_reads_a_clock():
    for path in sorted(TESTS.rglob("*.py")):
        if path != Path(__file__):
            name = str(path.relative_to(TESTS))
            assert clocks(path.read_text("utf-8")) == ALLOWED.get(name, set()), name


@pytest.mark.parametrize(
    "line",
    [
        *("page.wait_for_timeout(500)", "time.sleep(1)", "sleep(1)", "time.perf_counter() - a < 1"),
        *("datetime.datetime.now()", "page.evaluate('setTimeout(done, 100)')"),
        "page.wait_for_load_state('networkidle')",
    ],
)
def test_each_of_these_is_found(line):
    assert len(clocks(line)) == 1
