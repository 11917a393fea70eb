"""Model cards from config.json and metrics.json: python -m denoiser.hub.card FOLDER

Everything in a card is generated, except for two parts of an existing card in the folder: its
sections KEPT, which are written by hand, and the list `datasets` of its front matter.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from denoiser import checkpoint, console
from denoiser.files import StrPath
from denoiser.metrics import HEADLINE, METRICS

Sets = dict[str, dict[str, Any]]  # the sets of metrics.json: name -> "pairs", "noisy", "enhanced"
TASK = "audio-to-audio"
TAGS = ["speech-enhancement", "noise-suppression", "speech", "audio", "pytorch"]
KEPT = re.compile(r"(?ms)^## (?:Measured limits|Training|Data)\n.*?(?=^## |\Z)")
BODY = """
# Speech denoiser, {title}

Removes background noise from recorded speech. Length, sample rate, channels and level stay as they
are. A UNet with {parameters:,} parameters at {rate:g} kHz, many times faster than real time on one
CPU core. {kind}

## Use

The package is installed from a checkout of its code by `pip install .`; with `".[app]"` the page is
included. In Python:

```python
import denoiser

model = denoiser.load("{source}")
wave, rate = denoiser.read("talk.mp3")
denoiser.write("talk_denoised.wav", denoiser.denoise(model, wave, rate), rate)
```

On the command line, and as a web page:

```
python -m denoiser denoise talk.mp3 --model {source}
python app.py --model {source}
```
{scores}
## Limits

- Made for speech. Music, animals and a second voice may be removed or kept.
- Not a front end for speech recognition. Echo stays.
- Words that the noise has masked do not come back: the model only attenuates.
- The output has nothing above {half:g} kHz.

{kept}## Licence

MIT, for the code and these weights.
"""
SCORES = """
## Scores

Means over each set, with its number of pairs. PESQ-WB, ESTOI and SI-SDR compare with the clean
recording; OVRL is overall quality as DNSMOS estimates it. Higher is better. The front matter of
this card has the other metrics, `metrics.json` the scores by input SNR and by noise.

"""
CAUSAL = "It is causal: it can process a live stream."
NOT_CAUSAL = "It uses both past and future of a recording: it is not made for live sound."


def text(folder: StrPath, source: str | None = None) -> str:
    """The card of the checkpoint in a folder; `source` is its name or path in the instructions."""
    folder = Path(folder)
    model = checkpoint.load(folder, "cpu")
    title, sets, old = type(model).__name__, _sets(folder), _old(folder)
    table = scores_table(sets)
    kept = "".join(section.rstrip() + "\n\n" for section in KEPT.findall(old))
    causal = getattr(model.config, "causal", False)
    body = BODY.format(
        title=title,
        source=source or folder.as_posix(),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        rate=model.config.sample_rate / 1000,
        half=model.config.sample_rate / 2000,
        kind=CAUSAL if causal else NOT_CAUSAL,
        scores=SCORES + table + "\n" if table else "",
        kept=kept,
    )
    return f"---\n{_front_matter(title, sets, old)}\n---\n{body}"


def _front_matter(title: str, sets: Sets, old: str) -> str:
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
        datasets=ModelCard(old).data.get("datasets") if old else None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=title,
        eval_results=results or None,
    ).to_yaml(line_break="\n")


def _sets(folder: Path) -> Sets:
    """The scored sets of metrics.json. Raises CheckpointError if it is not valid JSON."""
    try:
        results = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise checkpoint.CheckpointError(
            f"{folder}/metrics.json is not valid JSON: {error}."
        ) from error
    return {
        name: scores
        for name, scores in results.items()
        if isinstance(scores, dict) and isinstance(scores.get("enhanced"), dict)
    }


def scores_table(sets: Sets) -> str:
    """A Markdown table of the HEADLINE metrics of every set, noisy and enhanced."""
    scored = {metric for scores in sets.values() for metric in scores["enhanced"]}
    metrics = [metric for metric in HEADLINE if metric in scored]
    if not metrics:
        return ""
    rows = []
    for name, scores in sets.items():
        label = f"{name} ({scores['pairs']})" if "pairs" in scores else name
        for kind in ("noisy", "enhanced"):
            row = scores.get(kind, {})
            cells = (f"{row[m]:.{METRICS[m].decimals}f}" if m in row else "" for m in metrics)
            rows.append([label, kind, *cells])
            label = ""
    return console.table(["set", "", *map(_title, metrics)], rows)


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
