"""Pictures: right place on both axes, one scale for before and after, no global state."""

import threading
import tracemalloc

import librosa
import numpy as np
import pytest

from denoiser import audio, plot


def tone(hz: float, seconds: float, sample_rate: int, gain: float = 0.5) -> np.ndarray:
    time_s = np.arange(round(seconds * sample_rate)) / sample_rate
    return (gain * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def written(path, wave, sample_rate) -> str:
    audio.write(path, np.atleast_2d(wave), sample_rate)
    return str(path)


def decibels(figure):
    """The picture's values (rows, columns), and where they lie: left, right, bottom, top."""
    image = figure.axes[0].images[0]
    return np.asarray(image.get_array()), image.get_extent()


def seconds_of(figure, column):
    values, (left, right, _, _) = decibels(figure)
    return left + (column + 0.5) * (right - left) / values.shape[1]


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100, 48000, 96000])
@pytest.mark.parametrize("hz", [300.0, 1000.0, 3500.0])
def test_a_tone_lies_at_its_frequency(tmp_path, sample_rate, hz):
    path = written(tmp_path / "tone.wav", tone(hz, 1.0, sample_rate), sample_rate)
    before, _ = plot.compare_files(path, path)
    values, (_, _, bottom, top) = decibels(before)
    row = values.mean(axis=1).argmax()
    mel = bottom + (row + 0.5) * (top - bottom) / values.shape[0]
    assert mel == pytest.approx(librosa.hz_to_mel(hz), abs=plot.MEL_STEP)
    assert before.axes[0].get_ylim() == pytest.approx((0, librosa.hz_to_mel(sample_rate / 2)))


@pytest.mark.parametrize("seconds", [3.0, 70.0, 400.0])
def test_a_sound_lies_at_its_time_and_columns_are_limited(tmp_path, seconds):
    sample_rate = 8000
    wave = np.zeros(round(seconds * sample_rate), np.float32)
    start = round(0.6 * seconds * sample_rate)
    stop = round(0.7 * seconds * sample_rate)
    wave[start:stop] = tone(1000.0, (stop - start) / sample_rate, sample_rate)
    path = written(tmp_path / "late.wav", wave, sample_rate)
    before, _ = plot.compare_files(path, path)
    values, _ = decibels(before)
    loud = np.flatnonzero(values.max(axis=0) > -20)
    column = seconds / plot.COLUMNS + 0.05
    assert values.shape[1] <= 1.01 * plot.COLUMNS + 1
    assert seconds_of(before, loud[0]) == pytest.approx(0.6 * seconds, abs=column)
    assert seconds_of(before, loud[-1]) == pytest.approx(0.7 * seconds, abs=column)
    assert before.axes[0].get_xlim() == pytest.approx((0, seconds))


def test_before_and_after_share_scale_axes_and_size(tmp_path):
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.1, 48000).astype(np.float32)
    before, after = plot.compare_files(
        written(tmp_path / "before.wav", noise, 16000),
        written(tmp_path / "after.wav", noise / 100, 16000),
    )
    for figure in (before, after):
        assert figure.axes[0].images[0].get_clim() == (-plot.RANGE_DB, 0)
    assert before.axes[0].get_xlim() == after.axes[0].get_xlim()
    assert before.axes[0].get_ylim() == after.axes[0].get_ylim()
    drop = decibels(before)[0] - decibels(after)[0]
    assert np.median(drop) == pytest.approx(40.0, abs=0.2)
    sizes = []
    for name, figure in (("b.png", before), ("a.png", after)):
        figure.savefig(tmp_path / name)
        assert figure.axes[0].get_xlabel() == "seconds"
        assert figure.axes[0].get_ylabel() == "kHz"
        sizes.append(figure.axes[0].get_position().bounds)
    assert sizes[0] == pytest.approx(sizes[1])
    assert before.get_size_inches() == pytest.approx(after.get_size_inches())


@pytest.mark.parametrize("samples", [1, 300, 5000])
def test_short_and_silent_files_are_drawn(tmp_path, samples):
    path = written(tmp_path / "short.wav", np.zeros(samples, np.float32), 48000)
    for figure in plot.compare_files(path, path):
        figure.savefig(tmp_path / "short.png")
        assert np.isfinite(decibels(figure)[0]).all()


def test_long_files_are_labelled_in_minutes(tmp_path):
    path = written(tmp_path / "long.wav", tone(500.0, 150.0, 8000), 8000)
    figure, _ = plot.compare_files(path, path)
    figure.savefig(tmp_path / "long.png")
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["0:00", "0:30", "1:00", "1:30", "2:00", "2:30"]


def test_memory_does_not_grow_with_length(tmp_path):
    peaks = []
    for seconds in (30.0, 240.0):
        path = written(tmp_path / "long.wav", tone(500.0, seconds, 8000), 8000)
        tracemalloc.start()
        plot.compare_files(path, path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 2e6


def test_different_rates_are_refused(tmp_path):
    paths = [written(tmp_path / f"{r}.wav", tone(500.0, 1.0, r), r) for r in (8000, 16000)]
    with pytest.raises(ValueError, match="expected one sample rate, got 8000 and 16000"):
        plot.compare_files(*paths)


def test_compare_draws_a_panel_each_under_shared_scales(tmp_path):
    clean, noise = tone(700.0, 1.5, 48000), tone(700.0, 1.5, 48000, gain=0.05)
    waves = {"Clean": clean, "Noise": noise, "Mixture": clean + noise, "Denoised": clean}
    waveforms, spectrograms = plot.compare(waves, 48000)
    for figure in (waveforms, spectrograms):
        panels = figure.axes[:4]
        assert [axes.get_title(loc="left") for axes in panels] == list(waves)
        assert len({axes.get_ylim() for axes in panels}) == 1
        assert panels[0].get_xlim() == pytest.approx((0, 1.5))
        figure.savefig(tmp_path / "panels.png")
    loudest = [axes.images[0].get_array().max() for axes in spectrograms.axes[:4]]
    assert loudest[0] - loudest[1] == pytest.approx(20.0, abs=0.1)
    low, high = waveforms.axes[0].get_ylim()
    assert high == -low == pytest.approx(1.05 * np.abs(clean + noise).max())


@pytest.mark.parametrize("wave", [np.zeros((1, 10), np.float32), np.zeros(0, np.float32)])
def test_compare_refuses_other_shapes(wave):
    with pytest.raises(ValueError, match=r"Noise: expected one channel, shape \(T,\), got"):
        plot.compare({"Noise": wave}, 16000)


def test_threads_do_not_disturb_each_other(tmp_path):
    paths = [written(tmp_path / f"{n}.wav", tone(500.0, n, 8000), 8000) for n in (1, 2, 3, 4)]
    ends = {}

    def draw(path, seconds):
        figure, _ = plot.compare_files(path, path)
        figure.savefig(tmp_path / f"{seconds}.png")
        ends[seconds] = figure.axes[0].get_xlim()[1]

    threads = [
        threading.Thread(target=draw, args=[path, n]) for n, path in enumerate(paths, start=1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == pytest.approx({1: 1, 2: 2, 3: 3, 4: 4})
