"""The settings of a training run and the recipes that made the published weights."""

from dataclasses import dataclass, field

from denoiser.models.band import BandUNetConfig
from denoiser.models.classic import ClassicUNetConfig
from training.data.cache import SAMPLE_RATE
from training.data.mixture import MixtureConfig

CPU_BATCH = 8  # segments a step, at most, where no other number is asked for


@dataclass(frozen=True)
class Recipe:
    """One way to train one model. `model` is the network's own config."""

    model: BandUNetConfig | ClassicUNetConfig
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    batch: int = 8  # segments a step, over all ranks together
    learning_rate: float = 5e-3
    warmup_steps: int = 100
    adversarial: float = 0.0  # weight of the discriminator's loss; 0 for none
    clip_gradient: float = 5.0
    ema_decay: float = 0.999
    seed: int = 1
    validate_minutes: float = 10.0

    @property
    def seconds(self) -> float:
        """Of audio in a step."""
        return self.batch * self.mixture.segment / SAMPLE_RATE


_BAND = BandUNetConfig(bottleneck_channels=80)
_LIVE = BandUNetConfig(causal=True, state_channels=128, post_filter=0.37)
_OCTAVE = (0.65, 2.0)  # with more, a model that hears nothing ahead keeps babies' cries and sirens
_UNUSUAL = {"segment": 384 * 768, "held": 0.2, "guest": 0.2, "muted": 0.1, "speech_only": 0.1}

RECIPES = {
    # On a GPU, begun by --init from weights made before with other widths. Which runs the published
    # weights are made of, the cards say.
    "band": Recipe(_BAND, batch=64, learning_rate=7e-3),
    # Its end, begun from its weights by --init and with --decay 1; another end is without
    "band-adversarial": Recipe(_BAND, batch=64, learning_rate=4e-3, adversarial=0.15),
    # On a CPU, begun by --init from what training.weights.prune left of a wider one: its --teacher
    "band-distilled": Recipe(_BAND, batch=64, learning_rate=2e-3),
    # Begun from `band` by --init, later from its own weights, with and without a discriminator
    "band-live": Recipe(_LIVE, MixtureConfig(speech_speed=_OCTAVE), batch=64, learning_rate=3e-3),
    "band-live-adversarial": Recipe(
        _LIVE,
        MixtureConfig(speech_speed=_OCTAVE, noise_only=0.1),
        batch=64,
        learning_rate=3e-3,
        adversarial=0.4,
    ),
    # On a CPU, begun by --init from published weights, with them as --teacher of what is ordinary
    "band-unusual": Recipe(
        _BAND, MixtureConfig(speech_speed=_OCTAVE, **_UNUSUAL), batch=32, learning_rate=1.5e-3
    ),
    # Without held vowels: with them band-live takes car horns and birds for notes
    "band-live-unusual": Recipe(
        _LIVE,
        MixtureConfig(segment=384 * 768, speech_speed=_OCTAVE, guest=0.25, muted=0.15),
        batch=32,
        learning_rate=7e-4,
    ),
    # Pictures of 2 s, as the method was described with: nothing but noise added, all at one speed
    "classic": Recipe(
        ClassicUNetConfig(),
        MixtureConfig(
            segment=128 * 768,
            snr_db=(-5.0, 25.0),
            trim=True,
            faster=0,
            reverberant=0,
            tilt=0,
            band_limit=0,
            clip=0,
        ),
        validate_minutes=1.0,
    ),
}
