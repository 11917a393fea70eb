"""config.json and metrics.json -> the model card: python -m denoiser.hub.card checkpoints/band

Everything in a card is written by this file, save two things that are taken over from the card
that lies in the folder: its section "## Training", and the list `datasets` of its front matter.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from denoiser import checkpoint, console
from denoiser.metrics import METRICS

TASK = "audio-to-audio"
TAGS = ["speech-enhancement", "noise-suppression", "speech", "audio", "pytorch"]
TRAINING = re.compile(r"^## Training\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BODY = """
# Speech denoiser, {title}

Takes the noise out of recorded speech and leaves the voice as it is: length, sample rate, channels
and level stay. A UNet of {parameters:,} parameters at {rate:g} kHz that runs many times faster
than real time on one CPU core. {kind}

## Use

In a checkout of the code. Python:

```python
import denoiser
from denoiser import audio

model = denoiser.load("{source}")
wave, rate = audio.read("talk.mp3")
audio.write("talk_denoised.wav", denoiser.denoise(model, wave, rate), rate)
```

The command line, and the page:

```
python -m denoiser denoise talk.mp3 --model {source}
python app.py --model {source}
```
{scores}
## Limits

- Made for speech: music, animals and a second voice count as noise, or as speech, as it happens.
- It is no front end for transcription, and echo stays.
- It only turns down what is there: words that the noise has covered do not come back.
- Above {half:g} kHz nothing is left.

{training}## Licence

MIT, the code and these weights.
"""
SCORES = """
## Scores

Means over each set, with its number of pairs.

"""


def text(folder, source: str | None = None) -> str:
    """The card of the checkpoint in a folder, for readers who know it as `source`."""
    folder = Path(folder)
    model = checkpoint.load(folder, "cpu")
    title, sets, old = type(model).__name__, _sets(folder), _old(folder)
    training = TRAINING.search(old)
    causal = getattr(model.config, "causal", False)
    body = BODY.format(
        title=title,
        source=source or folder.as_posix(),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        rate=model.config.sample_rate / 1000,
        half=model.config.sample_rate / 2000,
        kind="It is causal: it can follow a stream."
        if causal
        else "It hears a recording in both\ndirections of time: it is not made for live sound.",
        scores=SCORES + _table(sets) + "\n" if sets else "",
        training=training[0].rstrip() + "\n\n" if training else "",
    )
    return f"---\n{_front_matter(title, sets, old)}\n---\n{body}"


def _front_matter(title: str, sets: dict, old: str) -> str:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    results = [
        EvalResult(
            task_type=TASK,
            task_name="Speech enhancement",
            dataset_type=name,
            dataset_name=f"{name} ({scores['pairs']} pairs)" if "pairs" in scores else name,
            metric_type=metric,
            metric_name=_title(metric),
            metric_value=value,
        )
        for name, scores in sets.items()
        for metric, value in scores["enhanced"].items()
    ]
    return ModelCardData(
        license="mit",
        pipeline_tag=TASK,
        tags=TAGS,
        datasets=ModelCard(old).data.datasets if old else None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=title,
        eval_results=results or None,
    ).to_yaml(line_break="\n")


def _sets(folder: Path) -> dict:
    """The sets of metrics.json that were scored: name -> {"pairs", "noisy", "enhanced"}."""
    try:
        results = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise checkpoint.CheckpointError(f"{folder}/metrics.json is no JSON: {error}.") from error
    return {
        name: scores
        for name, scores in results.items()
        if isinstance(scores, dict) and isinstance(scores.get("enhanced"), dict)
    }


def _table(sets: dict) -> str:
    """Noisy and enhanced scores of every set, whatever the metrics are."""
    metrics = list(dict.fromkeys(name for scores in sets.values() for name in scores["enhanced"]))
    titles = [_title(metric) for metric in metrics]
    lines = [f"| set | | {' | '.join(titles)} |", "|---" * (len(metrics) + 2) + "|"]
    for name, scores in sets.items():
        label = f"{name} ({scores['pairs']})" if "pairs" in scores else name
        for kind in ("noisy", "enhanced"):
            row = scores.get(kind, {})
            cells = (f"{row[metric]:.3f}" if metric in row else "" for metric in metrics)
            lines.append(f"| {label} | {kind} | {' | '.join(cells)} |")
            label = ""
    return "\n".join(lines)


def _title(metric: str) -> str:
    return METRICS[metric].title if metric in METRICS else metric.upper()


def _old(folder: Path) -> str:
    path = folder / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


@console.command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m denoiser.hub.card", description="Write a checkpoint's model card."
    )
    parser.add_argument("folder", type=Path, help="a folder with config.json; gets a README.md")
    folder = parser.parse_args(argv).folder
    checkpoint.write_text(folder / "README.md", text(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
