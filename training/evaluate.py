"""Score a checkpoint: python -m training.evaluate checkpoints/band PAIRS...

A folder of pairs holds noisy/ and clean/, or the folders of VoiceBank+DEMAND or the DNS Challenge.
Recordings are denoised at their own rate and scored at 16 kHz, where PESQ is defined and other
systems publish; noise floor and loudness at their own rate. Prints tables and writes metrics.json
into the checkpoint's folder, where other sets stay as they were. Scores are kept as they are made,
so that an evaluation that was interrupted goes on where it was. --speed measures time and memory
instead.
"""

import argparse
import csv
import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np

from denoiser import audio, checkpoint, composite, console, metrics, plot
from denoiser.offline import denoise
from training.pairs import Pair, find

SCORED_AT = 16000  # Hz
COLUMNS = {  # of the table: title, decimals
    "pesq": ("PESQ-WB", 3),
    "estoi": ("ESTOI", 3),
    "stoi": ("STOI", 3),
    "si_sdr": ("SI-SDR, dB", 2),
    "csig": ("CSIG", 2),
    "cbak": ("CBAK", 2),
    "covl": ("COVL", 2),
    "ovrl": ("OVRL", 2),
    "sig": ("SIG", 2),
    "bak": ("BAK", 2),
    "p808": ("P.808", 2),
}
GROUPED = ("pesq", "estoi", "si_sdr", "ovrl")  # what is told by input SNR and by noise
SNR_IN_NAME = re.compile(r"_([+-]?\d+)dB|snr(-?\d+)")  # our names, and the DNS Challenge's
NOISE_IN_NAME = re.compile(r"\d+_(.+)_[+-]?\d+dB")


class Kept:
    """Scores by what they are scores of: the samples of both waves and the code that scores them.

    A file of JSON lines that only grows. A line that was cut off is scored again.
    """

    def __init__(self, path: Path | None = None):
        self.path, self.scores = path, {}
        code = (Path(module.__file__).read_bytes() for module in (metrics, composite))
        self.code = b"".join(code)
        lines = path.read_text().splitlines() if path and path.exists() else []
        for line in lines:
            try:
                row = json.loads(line)
                self.scores.setdefault(row.pop("key"), {}).update(row)
            except ValueError:
                continue

    def key(self, wave: np.ndarray, clean: np.ndarray, rate: int) -> str:
        parts = (wave.tobytes(), clean.tobytes(), str(rate).encode(), self.code)
        return hashlib.sha256(b"".join(parts)).hexdigest()[:24]

    def add(self, key: str, scores: dict) -> dict:
        """All that is known of `key` with these new scores, which are on the disk on return."""
        self.scores[key] = self.scores.get(key, {}) | scores
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write("\n" + json.dumps({"key": key} | scores))  # ends a line cut off before
        return self.scores[key]


def score_pair(model, pair: Pair, kept: Kept, *, dnsmos: bool, plots: Path | None) -> dict:
    """A row: the file's name, and the scores of the noisy and of the enhanced recording."""
    name, (noisy, clean, rate) = pair.noisy.name, pair.read()
    enhanced = denoise(model, noisy[None], rate)[0]
    if plots:
        plots.mkdir(parents=True, exist_ok=True)
        _, spectrograms = plot.compare({"Clean": clean, "Noisy": noisy, "Enhanced": enhanced}, rate)
        spectrograms.savefig(plots / f"{pair.noisy.stem}.png")
    row = {"name": name}
    for kind, wave in (("noisy", noisy), ("enhanced", enhanced)):
        try:
            row[kind] = score_wave(wave, clean, rate, kept, dnsmos=dnsmos)
        except ValueError as error:
            raise audio.AudioError(f"{name}, {kind}, cannot be scored: {error}.") from error
    return row


def score_wave(
    wave: np.ndarray, clean: np.ndarray, rate: int, kept: Kept, *, dnsmos: bool
) -> dict[str, float]:
    """All metrics of one wave (T,); what is known already comes from `kept`."""
    key = kept.key(wave, clean, rate)
    own = {"enhanced": wave, "sample_rate": rate}
    at_16 = {"enhanced": audio.resample(wave[None], rate, SCORED_AT)[0], "sample_rate": SCORED_AT}
    if "pesq" not in kept.scores.get(key, {}):
        pair = at_16 | {"clean": audio.resample(clean[None], rate, SCORED_AT)[0]}
        scores = metrics.opinions(**pair)
        for metric in (metrics.estoi, metrics.stoi, metrics.si_sdr, metrics.pesq_nb):
            scores[metric.__name__] = metric(**pair)
        for metric in (metrics.noise_floor, metrics.loudness):
            scores[metric.__name__] = metric(**own)
        kept.add(key, scores)
    if dnsmos and "ovrl" not in kept.scores[key]:
        kept.add(key, metrics.dnsmos(**at_16))
    scores = kept.scores[key]
    return {name: scores[name] for name in scores if dnsmos or name not in metrics.DNSMOS_NAMES}


def rows(
    model,
    folder: Path,
    *,
    dnsmos: bool = True,
    kept: Kept | None = None,
    plots: Path | None = None,
) -> list[dict]:
    """A row of scores for every pair of a folder, in the order of their names."""
    kept, done = kept or Kept(), []
    pairs = find(folder)
    for pair in pairs:
        done.append(score_pair(model, pair, kept, dnsmos=dnsmos, plots=plots))
        if sys.stderr.isatty():
            print(f"\r{folder} {len(done)}/{len(pairs)} ", end="", file=sys.stderr, flush=True)
    return done


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
                str(group): {"pairs": len(members)} | _over(members, np.mean, GROUPED)
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
    titles = " | ".join(title for title, _ in columns.values())
    lines = [f"| set | | {titles} |", "|---" * (len(columns) + 2) + "|"]
    for name, result in results.items():
        noisy, enhanced = result["noisy"], result["enhanced"]
        gain = {metric: enhanced[metric] - noisy[metric] for metric in columns}
        for label, row in (("noisy", noisy), ("enhanced", enhanced), ("gain", gain)):
            sign, title = "+" if label == "gain" else "", ""
            if label == "noisy":
                title = f"{name} ({result['pairs']})"
            cells = (f"{row[m]:{sign}.{digits}f}" for m, (_, digits) in columns.items())
            lines.append(f"| {title} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def breakdown(results: dict, key: str) -> str:
    """Noisy -> enhanced means as Markdown, by input SNR ("by_snr") or noise ("by_noise")."""
    groups = [(s, group, row) for s in results for group, row in results[s].get(key, {}).items()]
    if not groups:
        return ""
    names = [name for name in GROUPED if name in groups[0][2]["noisy"]]
    titles = " | ".join(COLUMNS[name][0] for name in names)
    first = "input SNR, dB" if key == "by_snr" else "noise"
    lines = [f"| set | {first} | pairs | {titles} |", "|---" * (len(names) + 3) + "|"]
    for name, group, row in groups:
        cells = (
            " → ".join(f"{row[kind][m]:.{COLUMNS[m][1]}f}" for kind in ("noisy", "enhanced"))
            for m in names
        )
        lines.append(f"| {name} | {group} | {row['pairs']} | {' | '.join(cells)} |")
    return "\n".join(lines)


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


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    console.prepare()
    options = _parse(argv)
    try:
        if options.speed:
            from training import speed

            return console.show(speed.table(options.checkpoint))
        model = checkpoint.load(options.checkpoint, options.device)
        scored = {}
        for folder in options.pairs:
            name = folder.resolve().name
            plots = options.plots and options.plots / name
            kept = Kept(options.scores)
            scored[name] = rows(model, folder, dnsmos=options.dnsmos, kept=kept, plots=plots)
        if options.csv:
            write_csv(options.csv, scored)
    except (audio.AudioError, checkpoint.CheckpointError, OSError) as error:
        console.say(error)
        return 1
    results = {name: summary(rows) for name, rows in scored.items()}
    text = json.dumps(results, indent=2)
    path = options.checkpoint / "metrics.json"
    others = _other_sets(path, results)
    checkpoint.write_text(path, json.dumps(others | results, indent=2) + "\n")
    blocks = [table(results), breakdown(results, "by_snr"), breakdown(results, "by_noise")]
    return console.show(text if options.json else "\n\n".join(filter(None, blocks)))


def _other_sets(path: Path, results: dict) -> dict:
    """What metrics.json holds already; says of which sets, as the weights may be others by now."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(earlier, dict):
        return {}
    rest = [name for name in earlier if name not in results]
    if rest:
        console.say(f"{path} keeps {', '.join(rest)} as it was: of these weights?")
    return earlier


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument(
        "checkpoint",
        nargs="?",
        type=Path,
        default=checkpoint.DEFAULT,
        help="a folder with config.json and model.safetensors",
    )
    parser.add_argument("pairs", nargs="*", type=Path, help="folders with noisy/ and clean/")
    parser.add_argument("--speed", action="store_true", help="measure time and memory instead")
    parser.add_argument("--json", action="store_true", help="print JSON, not tables")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the scores of every file")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw spectrograms of every pair")
    parser.add_argument(
        "--no-dnsmos", dest="dnsmos", action="store_false", help="leave out DNSMOS, which is slow"
    )
    parser.add_argument(
        "--scores",
        type=Path,
        metavar="FILE",
        default=Path("runs/scores.jsonl"),
        help="where scores are kept as they are made (default: runs/scores.jsonl)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    options = parser.parse_args(argv)
    if bool(options.pairs) == options.speed:
        parser.error("give folders of pairs, or --speed")
    names = [folder.resolve().name for folder in options.pairs]
    if len(set(names)) < len(names):
        parser.error(f"folders of pairs need different names, got {', '.join(names)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
