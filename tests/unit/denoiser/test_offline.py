"""denoise(): any recording in, the same length, rate, channels and level out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import denoiser
from denoiser import audio, levels, metrics, offline
from denoiser.models.band import BandUNet, BandUNetConfig

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Rate:
    sample_rate: int = 48000
    hop_length: int = 768


class Identity(torch.nn.Module):
    """A model that changes nothing, one hop late, as every model's `run` is."""

    config, delay, lookahead = Rate(), 768, 4 * 48000

    def __init__(self):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def initial_state(self, like):
        return (like.new_zeros(len(like), 768),)

    def run(self, noisy, state, lookahead=0):
        keep = noisy.shape[1] - lookahead * 768
        late = torch.cat((state[0], noisy[:, :keep]), 1)
        return late[:, :-768], (late[:, -768:],)


@pytest.fixture(scope="module")
def band():
    """A small network that changes what it is given."""
    torch.manual_seed(0)
    net = BandUNet(BandUNetConfig(channels=16, bottleneck_channels=16)).train()
    for layer in (*(r.out for r in net.recurrences), *(m.value for m in net.mixers)):
        torch.nn.init.ones_(layer.norm.weight)  # a fresh block changes nothing
    with torch.no_grad():
        for _ in range(5):
            net(0.1 * torch.randn(4, 8 * 768))
    return net.eval().requires_grad_(False)


def speechlike(channels: int, length: int, rate: int) -> np.ndarray:
    """Tones below 3 kHz that come and go."""
    t = np.arange(length) / rate
    wave = sum(np.sin(2 * np.pi * hz * t) for hz in (220, 700, 2500)) * np.sin(2 * np.pi * 3 * t)
    return np.stack([0.1 * wave / (c + 1) for c in range(channels)]).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.5, 15.0, 40.3])
def test_chunks_of_a_model_that_changes_nothing_are_the_input(seconds):
    wave = speechlike(2, round(seconds * 48000), 48000)
    assert np.abs(denoiser.denoise(Identity(), wave, 48000) - wave).max() < 1e-6


@pytest.mark.long
@pytest.mark.parametrize(("name", "error_db"), [("band", -50), ("band-live", -100)])
def test_chunks_of_the_published_models_are_their_whole(name, error_db):
    """45 s of the samples in noise: two seams. What is causal need not hear ahead."""
    model = denoiser.load(ROOT / "checkpoints" / name, device="cpu")
    assert (model.lookahead == 0) == model.config.causal
    files = sorted((ROOT / "samples/noisy").glob("[a-r]*.flac"))
    noisy = np.concatenate([audio.read(path)[0] for path in files * 3], axis=1)
    noisy = noisy[:, : 45 * 48000]
    gain = offline.level_gain([noisy], 48000)
    with torch.inference_mode():
        whole = model(torch.from_numpy(noisy * np.float32(gain))).numpy() / gain
    error = denoiser.denoise(model, noisy, 48000) - whole
    assert np.square(error).mean() < 10 ** (error_db / 10) * np.square(whole).mean()


@pytest.mark.parametrize("name", ["band", "band-live"])
def test_the_published_models_keep_a_voice_an_octave_higher(name):
    """The clean samples at twice their speed, as high as children speak: an error 12 dB below."""
    model = denoiser.load(ROOT / "checkpoints" / name, device="cpu")
    for path in (ROOT / "samples/clean").glob("*.flac"):
        wave, rate = audio.read(path)
        high = audio.resample(wave, 2 * rate, rate)
        enhanced = denoiser.denoise(model, high, rate)
        assert metrics.si_sdr(enhanced=enhanced[0], clean=high[0], sample_rate=rate) > 12


def test_what_is_left_of_a_filter_is_not_made_loud(band):
    wave = np.full((1, 9600), 1e-40, np.float32)
    assert np.abs(denoiser.denoise(band, wave, 48000)).max() < 1e-30


@pytest.mark.parametrize("rate", [0, 48, 10**6])
def test_a_rate_that_no_recording_has_is_refused(band, rate):
    with pytest.raises(ValueError, match=f"takes 4000 to 768000 Hz, got {rate}"):
        denoiser.denoise(band, np.zeros((1, 100), np.float32), rate)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 96000, 192000])
def test_every_rate_comes_back_in_place_and_at_its_level(rate):
    wave = speechlike(1, 2 * rate + 1, rate)
    back = denoiser.denoise(Identity(), wave, rate)
    inner = slice(rate // 10, -rate // 10)  # the ends of a file ring when resampled
    assert back.shape == wave.shape
    assert np.abs(back - wave)[:, inner].max() < 1e-3


@pytest.mark.parametrize(
    ("rate", "channels", "length"), [(8000, 1, 1), (44100, 2, 50007), (16000, 6, 999)]
)
def test_shape_is_kept(band, rate, channels, length):
    wave = 0.1 * np.random.default_rng(0).standard_normal((channels, length)).astype(np.float32)
    enhanced = denoiser.denoise(band, wave, rate)
    assert enhanced.shape == wave.shape
    assert enhanced.dtype == np.float32


def test_each_channel_is_denoised_by_itself(band):
    rng = np.random.default_rng(0)
    wave = 0.1 * rng.standard_normal((2, 48000)).astype(np.float32)
    swapped = denoiser.denoise(band, wave[::-1].copy(), 48000)
    assert np.abs(denoiser.denoise(band, wave, 48000) - swapped[::-1]).max() < 1e-5


def test_strength_0_is_the_input_bit_for_bit_and_a_half_lies_between(band):
    wave = 0.1 * np.random.default_rng(0).standard_normal((1, 48000)).astype(np.float32)
    full = denoiser.denoise(band, wave, 48000)
    assert np.array_equal(denoiser.denoise(band, wave, 48000, strength=0), wave)
    half = denoiser.denoise(band, wave, 48000, strength=0.5)
    assert np.abs(half - (wave + full) / 2).max() < 1e-6


@pytest.mark.parametrize("gain_db", [-50, -20, 10])
def test_a_louder_recording_gives_the_same_result_louder(band, gain_db):
    wave = speechlike(1, 48000, 48000)
    gain = np.float32(10 ** (gain_db / 20))
    louder = denoiser.denoise(band, wave * gain, 48000)
    assert np.abs(louder / gain - denoiser.denoise(band, wave, 48000)).max() < 1e-5


def test_silence_in_silence_out(band):
    assert not denoiser.denoise(band, np.zeros((2, 30000), np.float32), 44100).any()


def test_level_gain_ignores_pauses():
    speech = speechlike(1, 96000, 48000)
    pauses = np.concatenate((speech, np.zeros_like(speech)), 1)
    assert offline.level_gain([pauses], 48000) == pytest.approx(
        offline.level_gain([speech], 48000), rel=0.02
    )


@pytest.mark.parametrize(
    ("wave", "sentence"),
    [
        (np.zeros((1, 0), np.float32), "at least one sample"),
        (np.full((1, 9), np.nan, np.float32), "no NaN"),
        (np.zeros(9, np.float32), r"got float32 \(9,\)"),
        (np.zeros((1, 9)), r"got float64 \(1, 9\)"),
        ([0.0], "got list"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(band, wave, sentence):
    with pytest.raises(ValueError, match=sentence):
        denoiser.denoise(band, wave, 48000)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_outside_0_to_1_is_refused(band, strength):
    with pytest.raises(ValueError, match="strength must be from 0"):
        denoiser.denoise(band, np.zeros((1, 9), np.float32), 48000, strength=strength)


def test_a_file_equals_its_wave_and_keeps_its_form(band, tmp_path):
    wave = speechlike(2, 44100 * 21, 44100)
    audio.write(tmp_path / "in.wav", wave, 44100, "PCM_24")
    shares = list(offline.denoise_file(band, tmp_path / "in.wav", tmp_path / "out.wav"))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert audio.info(tmp_path / "out.wav") == audio.info(tmp_path / "in.wav")
    stored, _ = audio.read(tmp_path / "in.wav")
    result, _ = audio.read(tmp_path / "out.wav")
    assert np.abs(result - denoiser.denoise(band, stored, 44100)).max() < 2**-22


def test_a_closed_generator_leaves_no_file(band, tmp_path):
    audio.write(tmp_path / "in.wav", speechlike(1, 48000 * 40, 48000), 48000)
    work = offline.denoise_file(band, tmp_path / "in.wav", tmp_path / "out.wav")
    assert 0 < next(work) < 1
    work.close()
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


class Cramped(Identity):
    """Out of memory above so many hops; a copy for the CPU is not."""

    def __init__(self, hops: int):
        super().__init__()
        self.hops, self.tried = hops, []

    def __deepcopy__(self, memo):
        return Identity()

    def run(self, noisy, state, lookahead=0):
        self.tried.append(noisy.shape[1] // 768)
        if self.tried[-1] > self.hops:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().run(noisy, state, lookahead)


@pytest.mark.parametrize("seconds", [15.0, 51.3])
def test_chunks_shrink_until_they_fit_and_nothing_is_lost(seconds):
    model = Cramped(hops=600)  # 9.6 s: chunks of 20, 10 and then 5 s and their look-ahead of 4 s
    wave = speechlike(2, round(seconds * 48000), 48000)
    assert np.abs(denoiser.denoise(model, wave, 48000) - wave).max() < 1e-6
    assert max(model.tried) > 600
    assert sum(hops > 600 for hops in model.tried) <= 2  # it does not try again what failed


def test_where_nothing_fits_the_cpu_does_the_rest():
    """The GPU's stand-in fails from its third run on; its copy for the CPU never does."""
    model, notices = Cramped(hops=2000), []
    wave = speechlike(1, 80 * 48000, 48000)
    before = levels.survey([wave], 48000)
    options = {"strength": 1, "before": before, "notify": notices.append}
    steps = offline.denoise_blocks(model, [wave], 48000, **options)
    parts = [next(steps)]
    model.hops = 0
    parts += steps
    assert np.abs(np.concatenate(parts, axis=1) - wave).max() < 1e-6
    assert notices == ["The GPU is out of memory: processing continues on the CPU."]
    assert len(model.tried) <= 8  # two good runs, then 20, 10, 5, 2.5, 1.25 and 1 s of chunk


@pytest.mark.parametrize("shape", [(480_000, 2), (480_000, 1), (48, 48)])
def test_a_transposed_array_is_refused_before_any_work(shape):
    """A model that does not exist is not asked either."""
    with pytest.raises(ValueError, match="transposed") as refusal:
        denoiser.denoise(None, np.full(shape, np.nan, np.float32), 48000)
    assert str(refusal.value) == (
        "expected an array of shape (channels, samples) with at most 8 channels, got "
        f"{shape}: is it transposed?"
    )
