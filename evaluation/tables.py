"""Rows of scores -> means, Markdown and CSV."""

import csv
import re
from pathlib import Path

import numpy as np

from denoiser import console
from denoiser.metrics import HEADLINE, METRICS

COLUMNS = {name: metric for name, metric in METRICS.items() if name != "pesq_nb"}  # of the table
SNR_IN_NAME = re.compile(r"_([+-]?\d+)dB|snr(-?\d+)")  # our names, and the DNS Challenge's
NOISE_IN_NAME = re.compile(r"\d+_(.+)_[+-]?\d+dB")


def summary(rows: list[dict]) -> dict:
    """Means and medians over all rows, and the main means by input SNR and by kind of noise."""
    result = {"pairs": len(rows)} | _over(rows, np.mean)
    result["medians"] = _over(rows, np.median)
    for name, kind in (("by_snr", _snr_db), ("by_noise", _noise)):
        groups = {}
        for row in rows:
            groups.setdefault(kind(row["name"]), []).append(row)
        groups.pop(None, None)
        if groups:
            result[name] = {
                str(group): {"pairs": len(members)} | _over(members, np.mean, HEADLINE)
                for group, members in sorted(groups.items())
            }
    return result


def _over(rows: list[dict], average, names=None) -> dict:
    known = dict.fromkeys([*COLUMNS, *rows[0]["noisy"]])  # as in the table, then the others
    names = [name for name in known if name in rows[0]["noisy"] and name in (names or known)]
    return {
        kind: {name: round(float(average([row[kind][name] for row in rows])), 4) for name in names}
        for kind in ("noisy", "enhanced")
    }


def _snr_db(name: str) -> int | None:
    found = SNR_IN_NAME.search(name)
    return int(found.group(1) or found.group(2)) if found else None


def _noise(name: str) -> str | None:
    found = NOISE_IN_NAME.match(name)
    return found.group(1) if found else None


def table(results: dict) -> str:
    """Mean scores as Markdown: noisy, enhanced and gain of every set."""
    known = set.intersection(*(set(result["noisy"]) for result in results.values()))
    columns = {name: column for name, column in COLUMNS.items() if name in known}
    rows = []
    for name, result in results.items():
        noisy, enhanced = result["noisy"], result["enhanced"]
        gain = {metric: enhanced[metric] - noisy[metric] for metric in columns}
        for label, row in (("noisy", noisy), ("enhanced", enhanced), ("gain", gain)):
            sign, title = "+" if label == "gain" else "", ""
            if label == "noisy":
                title = f"{name} ({result['pairs']})"
            cells = (f"{row[m]:{sign}.{digits}f}" for m, (_, digits) in columns.items())
            rows.append([title, label, *cells])
    return console.table(["set", "", *(title for title, _ in columns.values())], rows)


def breakdown(results: dict, key: str) -> str:
    """Noisy -> enhanced means as Markdown, by input SNR ("by_snr") or noise ("by_noise")."""
    groups = [(s, group, row) for s in results for group, row in results[s].get(key, {}).items()]
    if not groups:
        return ""
    names = [name for name in HEADLINE if name in groups[0][2]["noisy"]]
    first = "input SNR, dB" if key == "by_snr" else "noise"
    rows = []
    for name, group, row in groups:
        cells = (
            " → ".join(f"{row[kind][m]:.{COLUMNS[m][1]}f}" for kind in ("noisy", "enhanced"))
            for m in names
        )
        rows.append([name, group, str(row["pairs"]), *cells])
    return console.table(["set", first, "pairs", *(COLUMNS[name].title for name in names)], rows)


def write_csv(path: Path, scored: dict[str, list[dict]]) -> None:
    """A line for the noisy and one for the enhanced recording of every pair."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        metric_names = list(next(iter(scored.values()))[0]["noisy"])
        writer.writerow(["set", "name", "kind", *metric_names])
        for folder, rows in scored.items():
            for row in rows:
                for kind in ("noisy", "enhanced"):
                    values = (round(row[kind][name], 4) for name in metric_names)
                    writer.writerow([folder, row["name"], kind, *values])
