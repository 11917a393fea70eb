"""The page in web/: live sound in the visitor's browser, equal to what Python makes of it."""

import re
from pathlib import Path

import numpy as np
import pytest

import denoiser
from denoiser import audio
from denoiser.stream import Running

SAMPLES = Path(__file__).parents[2] / "samples" / "noisy"


def below_signal_db(enhanced: np.ndarray, expected: np.ndarray) -> float:
    """How far the difference lies below the signal."""
    error = np.square(enhanced.astype(np.float64) - expected).sum()
    return 10 * np.log10(np.square(expected.astype(np.float64)).sum() / error)


FFT = """async (wave) => {
  const { FFT } = await import("./sound/dsp.js");
  const fft = new FFT(), spectrum = new Float32Array(1538), back = new Float32Array(1536);
  fft.forward(Float32Array.from(wave), spectrum);
  fft.inverse(spectrum, back);
  return [Array.from(spectrum), Array.from(back)];
}"""


def test_the_transform_is_that_of_numpy(blank):
    wave = np.random.default_rng(0).standard_normal(1536).astype(np.float32)
    spectrum, back = blank.evaluate(FFT, wave.tolist())
    expected = np.fft.rfft(wave.astype(np.float64))
    assert np.abs(np.array(spectrum).view(np.complex128) - expected).max() < 1e-5
    assert np.abs(np.array(back) - wave).max() < 1e-6


GAINS = """async (wave) => {
  const { Leveller } = await import("./sound/level.js");
  const leveller = new Leveller(), gains = [];
  for (let start = 0; start < wave.length; start += 768)
    gains.push(leveller.gains([Float32Array.from(wave.slice(start, start + 768))]).at(-1));
  return gains;
}"""


def test_the_level_follows_the_voice_as_in_python(blank):
    """Loud and quiet stretches, pauses, clicks, and silence at the start: the gain of each hop."""
    rng = np.random.default_rng(0)
    levels = np.repeat(10 ** (rng.uniform(-90, 0, 30) / 20), 20 * 768)
    wave = (levels * rng.standard_normal(len(levels))).clip(-1, 1).astype(np.float32)
    wave[: 5 * 768] = 0
    wave[::50_000] = 1
    _, expected = Running(48000, 1).push(wave[None])
    np.testing.assert_allclose(blank.evaluate(GAINS, wave.tolist()), expected[0, 767::768], 1e-5)


ENHANCE = """async (waves) => {
  const worker = new Worker("./sound/worker.js", { type: "module" });
  const answer = () => new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(event.message);
    worker.onmessage = ({ data }) => {
      if (data.trouble) reject(JSON.stringify(data.trouble)); else resolve(data);
    };
  });
  worker.postMessage({ load: true });
  await answer();
  worker.postMessage({ file: waves.length });
  worker.postMessage({ piece: waves.map((wave) => Float32Array.from(wave)), last: true });
  const { enhanced } = await answer();
  worker.terminate();
  return enhanced.map((wave) => Array.from(wave));
}"""


def recording(name: str) -> np.ndarray:
    """Three seconds, and a sample that no hop is complete with."""
    return audio.read(SAMPLES / f"{name}.flac")[0][:, :150_001]


def stereo() -> np.ndarray:
    """Two recordings of 48 kHz beside each other: one loud, one 30 dB quieter."""
    left, right = (
        audio.read(SAMPLES / f"{name}.flac")[0][0, :100_000] for name in ("rain", "air_conditioner")
    )
    return np.stack((left, np.float32(0.03) * right))


@pytest.mark.parametrize("sample", ["rain", "voicebank_p232_010", "stereo"])
def test_the_browser_does_what_python_does(blank, sample):
    """60 dB below the signal, whatever the last hop's length."""
    wave = stereo() if sample == "stereo" else recording(sample)
    stream = denoiser.Stream(channels=len(wave))
    expected = np.concatenate((stream.push(wave), stream.flush()), axis=1)
    enhanced = np.array(blank.evaluate(ENHANCE, wave.tolist()), np.float32)
    assert enhanced.shape == expected.shape
    assert below_signal_db(enhanced, expected) > 60


# The whole line in a context that stands still until the worker has each hop: all is in samples
LINE = """async ([wave, original]) => {
  const { connect, startWorker } = await import("./sound/engine.js");
  const count = Math.floor(wave.length / 768), reports = [];
  const context = new OfflineAudioContext(1, 768 * count, 48000);
  const source = context.createBufferSource();
  source.buffer = new AudioBuffer({ length: wave.length, sampleRate: 48000 });
  source.buffer.copyToChannel(Float32Array.from(wave), 0);
  source.start();
  let hops = 1, waiting = null;  // the first hop brings nothing out
  const worker = await startWorker(() => { hops++; waiting?.(); });
  let begin;
  const begun = new Promise((resolve) => (begin = resolve));
  const { line, volume } = await connect(context, source, worker, 1, (told) => {
    reports.push(told);
    begin();
  });
  await begun;
  line.port.postMessage({ original });
  volume.connect(context.destination);
  for (let hop = 2; hop < count; hop++)
    context.suspend((768 * hop) / 48000).then(async () => {
      while (hops < hop) await new Promise((resolve) => (waiting = resolve));
      context.resume();
    });
  const out = await context.startRendering();
  worker.terminate();
  return [Array.from(out.getChannelData(0)), reports.at(-1)];
}"""
SETTLED = 32 * 768  # samples, after which the line is heard


def test_a_click_is_heard_48_ms_later(blank):
    """From the microphone to the output, without the sound card: under 60 ms."""
    wave = np.zeros(64 * 768, np.float32)
    wave[40 * 768 + 123] = 0.5
    out, report = blank.evaluate(LINE, [wave.tolist(), True])
    assert np.flatnonzero(out).tolist() == [40 * 768 + 123 + 2304]
    assert (report["latency"], report["underruns"]) == (2304, 0)


def test_the_live_line_does_what_python_does(blank):
    wave = recording("rain")
    stream = denoiser.Stream()
    expected = np.concatenate((stream.push(wave), stream.flush()), axis=1)[0]
    out, report = blank.evaluate(LINE, [wave[0].tolist(), False])
    assert report["underruns"] == 0
    heard = np.array(out)[SETTLED + 480 :]
    assert below_signal_db(heard, expected[SETTLED + 480 - 2304 :][: len(heard)]) > 60


# The line beside a worker that gives every hop back as it was, first 4 hops late and then at once
ECHO = """async (wave) => {
  const { connect } = await import("./sound/engine.js");
  const count = Math.floor(wave.length / 768);
  const context = new OfflineAudioContext(1, 768 * count, 48000);
  const source = context.createBufferSource();
  source.buffer = new AudioBuffer({ length: wave.length, sampleRate: 48000 });
  source.buffer.copyToChannel(Float32Array.from(wave), 0);
  source.start();
  let port, told = () => {};
  const worker = { postMessage: ({ live }) => (port = live) }, reports = [];
  const answer = async () => reports.push(await new Promise((resolve) => (told = resolve)));
  const begun = answer();
  const { line, volume } = await connect(context, source, worker, 1, (report) => told(report));
  await begun;
  volume.connect(context.destination);
  const hops = [];
  port.onmessage = ({ data }) => hops.push(data);
  for (let hop = 1; hop < count; hop++)
    context.suspend((768 * hop) / 48000).then(async () => {
      for (const late = hop < 100 ? 4 : 0; hops.length > late; ) port.postMessage(hops.shift());
      const known = answer();
      line.port.postMessage({});
      await known;
      context.resume();
    });
  const out = await context.startRendering();
  return [Array.from(out.getChannelData(0)), reports.map(({ latency }) => latency)];
}"""


def test_a_line_is_as_late_as_its_worker_and_in_time_again_later(blank):
    """It moves without a click: from sample to sample a slow tone steps by less than 1 %."""
    tone = np.sin(2 * np.pi * 20 * np.arange(21 * 48000) / 48000).astype(np.float32)
    out, latencies = blank.evaluate(ECHO, tone.tolist())
    assert latencies[90] > 4 * 768
    assert latencies[-1] == 2304
    heard = np.array(out)[SETTLED + 2 :]
    assert np.abs(heard).max() > 0.99
    assert np.abs(np.diff(heard)).max() < 0.01


def test_speak_compare_record_and_download(live, tmp_path):
    """The fake microphone's hiss is gone from the recording."""
    live.get_by_role("button", name="Start with headphones").click()
    live.get_by_text("Delay", exact=False).wait_for()
    live.keyboard.press("1")
    live.locator("#live [data-side=original][aria-pressed=true]").wait_for()
    live.keyboard.press("2")
    live.locator("#live [data-side=cleaned][aria-pressed=true]").wait_for()
    live.get_by_role("button", name="Record", exact=True).click()
    finish = live.get_by_role("button", name="Finish recording")
    finish.get_by_text(re.compile("0:(0[3-9]|[1-5])")).wait_for()
    finish.click()
    with live.expect_download() as waiting:
        live.get_by_role("link", name="Download WAV").click()
    assert waiting.value.suggested_filename == "live_denoised.wav"
    wave, rate = audio.read(waiting.value.path())
    assert (rate, len(wave)) == (48000, 1)
    assert wave.shape[1] >= 3 * rate
    stretches = np.square(wave[0, : wave.shape[1] // 480 * 480]).reshape(-1, 480).mean(1)
    assert np.sqrt(stretches.max()) > 0.05, "the voice is gone"
    assert np.sqrt(np.quantile(stretches, 0.1)) < 0.003, "the noise (0.03) stays"
    live.get_by_role("button", name="Stop", exact=True).click()
    live.get_by_role("button", name="Start without sound").wait_for()
