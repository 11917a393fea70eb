"""The page in web/: the network in the visitor's browser equals the one in Python."""

from pathlib import Path

import numpy as np
import pytest
import site_of_web

import denoiser
from denoiser import audio

SAMPLES = Path(__file__).parents[2] / "samples" / "noisy"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The address of the static site, below a path."""
    folder = site_of_web.build(tmp_path_factory.mktemp("web") / "denoiser")
    server = site_of_web.serve(folder)
    yield site_of_web.address(server, folder)
    server.shutdown()


@pytest.fixture
def blank(browser, site):
    """A page of the site's origin without any of its scripts."""
    page = browser.new_context().new_page()
    page.route("**/blank.html", lambda route: route.fulfill(body="", content_type="text/html"))
    page.goto(site + "blank.html")
    yield page
    page.context.close()


def below_signal_db(enhanced: np.ndarray, expected: np.ndarray) -> float:
    """How far the difference lies below the signal."""
    error = np.square(enhanced.astype(np.float64) - expected).sum()
    return 10 * np.log10(np.square(expected.astype(np.float64)).sum() / error)


FFT = """async (wave) => {
  const { FFT } = await import("./dsp.js");
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


ENHANCE = """async (waves) => {
  const worker = new Worker("./worker.js", { type: "module" });
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
