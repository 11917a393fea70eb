"""The settings of a training run and the recipes that made the published weights."""

from dataclasses import dataclass, field

from denoiser.classic import ClassicUNetConfig
from denoiser.unet import BandUNetConfig
from training.store import SAMPLE_RATE

CPU_BATCH = 8  # segments a step, at most, where no other number is asked for


@dataclass(frozen=True)
class MixtureConfig:
    """How mixtures are drawn. Shares are probabilities, ranges are drawn from evenly.

    Speeds and frequencies evenly by ratio.
    """

    segment: int = 192 * 768  # samples at 48 kHz: 3.07 s, a fast length for an FFT
    snr_db: tuple[float, float] = (-10.0, 20.0)
    level_dbfs: tuple[float, float] = (-40.0, -10.0)  # of the active speech
    second_noise: float = 0.3
    third_noise: float = 0.1
    babble: float = 0.1  # three to six other voices as a noise
    coloured: float = 0.08  # white to brown noise instead of a recording
    hum: float = 0.05  # mains hum added
    speech_only: float = 0.04
    noise_only: float = 0.04
    trim: bool = False  # silent ends of an excerpt of speech cut off, by librosa.effects.trim
    faster: float = 0.3  # of the recordings, each on its own: played at another speed
    speech_speed: tuple[float, float] = (0.65, 3.0)  # deep voices to children's and cartoons'
    noise_speed: tuple[float, float] = (0.7, 1.4)
    reverberant: float = 0.3  # of the speech, where room responses are given
    early_seconds: float = 0.05  # reflections that stay in the target
    tilt: float = 0.2  # equaliser on speech, and as often on noise
    tilt_db: float = 8.0  # at most, from 100 Hz to 10 kHz
    band_limit: float = 0.15  # noisy and clean alike
    band_limit_hz: tuple[float, float] = (3400.0, 16000.0)
    clip: float = 0.05
    clip_share: tuple[float, float] = (0.2, 0.8)  # threshold as a share of the peak
    # Drawn after all else, and not at all where the share is 0: what was drawn before stays
    held: float = 0.0  # of the speech: one of its vowels held, as if sung
    held_hz: tuple[float, float] = (60.0, 850.0)
    guest: float = 0.0  # of the speech: another voice takes over, quieter
    guest_db: tuple[float, float] = (6.0, 35.0)  # by how much; the SNR is then the guest's
    guest_begins: tuple[float, float] = (0.2, 0.6)  # as a share of the segment
    muted: float = 0.0  # of the mixtures: a stretch of all sound turned down, half of it to nothing
    muted_share: tuple[float, float] = (0.1, 0.6)  # of the segment, from its beginning or within
    muted_db: tuple[float, float] = (20.0, 60.0)


@dataclass(frozen=True)
class Recipe:
    """One way to train one model. `model` is the network's own config."""

    model: BandUNetConfig | ClassicUNetConfig
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    batch: int = 8  # segments a step, over all ranks together
    learning_rate: float = 5e-3
    warmup_steps: int = 100
    adversarial: float = 0.0  # weight of a critic's opinion; 0 for none
    clip_gradient: float = 5.0
    ema: float = 0.999
    seed: int = 1
    validate_minutes: float = 10.0

    @property
    def seconds(self) -> float:
        """Of audio in a step."""
        return self.batch * self.mixture.segment / SAMPLE_RATE


_BAND = BandUNetConfig(bottleneck_channels=80)
_LIVE = BandUNetConfig(causal=True, memories=128, post_filter=0.37)
_OCTAVE = (0.65, 2.0)  # with more, a model that hears nothing ahead keeps babies' cries and sirens
_SELDOM = {"segment": 384 * 768, "held": 0.2, "guest": 0.2, "muted": 0.1, "speech_only": 0.1}

RECIPES = {
    # On a GPU, begun by --init from weights made before with other widths. Which runs the published
    # weights are made of, the cards say.
    "band": Recipe(_BAND, batch=64, learning_rate=7e-3),
    # Its end, begun from its weights by --init and with --decay 1; another end is without a critic
    "band-critic": Recipe(_BAND, batch=64, learning_rate=4e-3, adversarial=0.15),
    # On a CPU, begun by --init from what training.prune left of a wider one, with that as --teacher
    "band-slim": Recipe(_BAND, batch=64, learning_rate=2e-3),
    # Begun from `band` by --init, later from its own weights, with and without a critic
    "band-live": Recipe(_LIVE, MixtureConfig(speech_speed=_OCTAVE), batch=64, learning_rate=3e-3),
    "band-live-critic": Recipe(
        _LIVE,
        MixtureConfig(speech_speed=_OCTAVE, noise_only=0.1),
        batch=64,
        learning_rate=3e-3,
        adversarial=0.4,
    ),
    # On a CPU, begun by --init from published weights, with them as --teacher of what is ordinary
    "band-seldom": Recipe(
        _BAND, MixtureConfig(speech_speed=_OCTAVE, **_SELDOM), batch=32, learning_rate=1.5e-3
    ),
    "band-live-seldom": Recipe(
        _LIVE, MixtureConfig(speech_speed=_OCTAVE, **_SELDOM), batch=32, learning_rate=1.5e-3
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
