"""The command line of `training.train`."""

import argparse
import math
from pathlib import Path

from training.data.lists import Paths
from training.recipes import CPU_BATCH, RECIPES, Recipe


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def path(text: str) -> Path:
    """A file or folder of the command line; Path("") would be the working folder."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path is no folder")
    return Path(text)


def add_sources(group, *, rooms: bool = True) -> None:
    """--clean, --noise and, with `rooms`, --rir, for every command that mixes."""
    kinds = {"clean": "clean speech", "noise": "noise", "rir": "room responses"}
    for name, what in kinds.items() if rooms else list(kinds.items())[:2]:
        group.add_argument(
            f"--{name}",
            nargs="+",
            action=Paths,
            default=[],
            metavar="DIR",
            help=f"folders of {what}, or @FILE with a path a line; one named twice is heard twice "
            "as often",
        )


def add_out(parser, what: str) -> None:
    """--out and --cache, for every command that decodes recordings."""
    parser.add_argument("--out", type=path, required=True, metavar="DIR", help=what)
    parser.add_argument(
        "--cache",
        type=path,
        metavar="DIR",
        help="folder for the decoded recordings, 350 MB an hour (default: cache beside --out)",
    )


def parsed(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """The options of a command with `add_out`."""
    options = parser.parse_args(argv)
    options.cache = options.cache or options.out.parent / "cache"
    return options


def parse(argv: list[str] | None, description: str) -> argparse.Namespace:
    """What `training.train` is asked for; ends the program where that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=description)
    parser.add_argument("--recipe", choices=RECIPES, default="band")
    _add_data(parser.add_argument_group("what it hears"))
    _add_length(parser.add_argument_group("how long"))
    _add_folders(parser.add_argument_group("from where to where"))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--benchmark", action="store_true", help="time the parts of a step instead of training"
    )
    return parsed(parser, argv)


def _add_data(group) -> None:
    add_sources(group)
    group.add_argument(
        "--seed",
        type=_count,
        default=Recipe.seed,
        metavar="N",
        help="of the mixtures: give a run with --init from another run another seed, or it hears "
        "what that one heard; --resume keeps the run's own (default: %(default)s)",
    )
    group.add_argument(
        "--batch",
        type=_count,
        metavar="N",
        help=f"segments a step (default: the recipe's, on a CPU at most {CPU_BATCH}); --resume "
        "keeps the run's own",
    )
    group.add_argument(
        "--pairs", type=_count, metavar="N", help="learn from the same N mixtures again and again"
    )


def _add_length(group) -> None:
    group.add_argument(
        "--minutes",
        type=_positive,
        default=60.0,
        help="how long to train, in all its sessions (default: %(default)g)",
    )
    group.add_argument(
        "--steps", type=_count, metavar="N", help="end with step N, if that comes before the time"
    )
    group.add_argument(
        "--decay",
        type=_share,
        default=0.25,
        metavar="SHARE",
        help="last share of the minutes, in which the learning rate falls to nothing; "
        "0 for a run that is to be resumed (default: %(default)s)",
    )


def _add_folders(group) -> None:
    add_out(group, "the run's folder")
    group.add_argument("--resume", action="store_true", help="go on from --out")
    group.add_argument(
        "--init",
        type=path,
        metavar="DIR",
        help="start from this checkpoint's weights, where they fit",
    )
    group.add_argument(
        "--teacher",
        type=path,
        metavar="DIR",
        help="learn what this checkpoint makes of the noisy speech, instead of the clean speech; "
        "with --resume give it again",
    )
    group.add_argument(
        "--keep",
        action="store_true",
        help="keep a copy of the weights at every validation, for training.weights.average",
    )
