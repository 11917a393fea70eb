"""Score a checkpoint: python -m evaluation checkpoints/band PAIRS...

A folder of pairs holds noisy/ and clean/, or the folders of VoiceBank+DEMAND or the DNS Challenge.
Recordings are denoised at their own rate and scored at 16 kHz, where PESQ is defined and other
systems publish. Prints tables and writes metrics.json
into the checkpoint's folder, where other sets stay as they were. Scores are kept as they are made,
so that an evaluation that was interrupted goes on where it was. --speed measures time and memory
instead.
"""

import argparse
import json
import sys
from pathlib import Path

from denoiser import checkpoint, console
from evaluation import scores, tables


@console.command
def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _parse(argv)
    if options.speed:
        from evaluation import cost

        return console.show(cost.table(options.checkpoint))
    model = checkpoint.load(options.checkpoint, options.device)
    scored = {}
    for folder in options.pairs:
        name = folder.resolve().name
        plots = options.plots and options.plots / name
        kept = scores.Kept(options.scores)
        scored[name] = scores.rows(model, folder, dnsmos=options.dnsmos, kept=kept, plots=plots)
    if options.csv:
        tables.write_csv(options.csv, scored)
    results = {name: tables.summary(rows) for name, rows in scored.items()}
    text = json.dumps(results, indent=2)
    path = options.checkpoint / "metrics.json"
    others = _other_sets(path, results)
    checkpoint.write_text(path, json.dumps(others | results, indent=2) + "\n")
    by = (tables.breakdown(results, key) for key in ("by_snr", "by_noise"))
    blocks = [tables.table(results), *by]
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
