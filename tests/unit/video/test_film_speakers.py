"""A channel of a film's new sound is heard at the speaker where it was."""

import av
import numpy as np
import pytest
import soundfile as sf
from films import film

from denoiser import audio, video
from denoiser.video.speakers import ENCODABLE, Placement

TONES = (300, 440, 610, 830, 1100, 1400, 1700, 2100)  # Hz, of channels in order
LOW = 60  # Hz, of the low-frequency effects
# The order of channels in Opus and Vorbis, by their number
OPUS = {1: ["FC"], 2: ["FL", "FR"], 3: ["FL", "FC", "FR"], 4: ["FL", "FR", "BL", "BR"]}
OPUS |= {5: ["FL", "FC", "FR", "BL", "BR"], 6: ["FL", "FC", "FR", "BL", "BR", "LFE"]}
OPUS |= {7: ["FL", "FC", "FR", "SL", "SR", "BC", "LFE"]}
OPUS |= {8: ["FL", "FC", "FR", "SL", "SR", "BL", "BR", "LFE"]}
LAYOUTS = ["mono", "stereo", "2.1", "3.0", "3.0(back)", "4.0", "quad", "quad(side)", "3.1", "4.1"]
LAYOUTS += ["5.0", "5.0(side)", "5.1", "5.1(side)", "6.0", "6.1", "6.1(back)", "hexagonal", "7.0"]
LAYOUTS += ["7.1"]
SAME = {"BL": "SL", "BR": "SR"}  # under another name, where a layout has only one pair


def names(layout: str) -> list[str]:
    """The speakers of a layout; a back centre makes its surrounds those at the side."""
    found = [channel.name for channel in av.AudioLayout(layout).channels]
    if {"SL", "BL"} <= set(found):
        return found
    return [SAME.get(name, name) for name in found]


def tones(layout: str) -> np.ndarray:
    """(C, 1 s): a tone of its own in every channel."""
    time_s = np.arange(48000) / 48000
    speakers = [channel.name for channel in av.AudioLayout(layout).channels]
    hz = [LOW if name == "LFE" else TONES[n] for n, name in enumerate(speakers)]
    return np.stack([0.1 * np.sin(2 * np.pi * f * time_s) for f in hz]).astype(np.float32)


def speakers_of(wave: np.ndarray, places: list[str], layout: str) -> dict[str, set[str]]:
    """Speaker of the original -> speakers where its tone is heard, at more than half its power."""
    spectra = np.abs(np.fft.rfft(wave[:, 12000:36000])) / 12000  # a bin is 2 Hz
    heard = {}
    for n, name in enumerate(names(layout)):
        hz = LOW if name == "LFE" else TONES[n]
        heard[name] = {
            place for place, row in zip(places, spectra, strict=True) if row[hz // 2] > 0.05
        }
    return heard


def film_with(tmp_path, layout: str, ending: str):
    """A film with that sound, its sound put back; the target."""
    source, sound = tmp_path / "source.mkv", tmp_path / "sound.wav"
    film(source, "matroska", "mpeg4", "flac", tones(layout), layout)
    audio.write(sound, audio.read(source)[0], 48000, "FLOAT")
    target = tmp_path / f"out{ending}"
    if ending == ".webm":
        source = source.rename(tmp_path / "source.webm")
    video.replace_sound(source, sound, target)
    return target


def wanted(layout: str, there: list[str]) -> dict[str, set[str]]:
    """Every speaker itself; a back centre that an encoder lacks from both sides behind."""
    return {name: {name} if name in there else {"BL", "BR"} for name in names(layout)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tones_stay_at_their_speakers_in_aac(tmp_path, layout):
    with av.open(str(film_with(tmp_path, layout, ".mp4"))) as container:
        frames = list(container.decode(audio=0))
    places = names(frames[0].layout.name)
    waves = [
        np.stack([np.frombuffer(p, np.float32, f.samples) for p in f.planes[: len(places)]])
        for f in frames
    ]
    expected = wanted(layout, places)
    if "BC" in expected and "BC" not in places and "BL" not in places:
        expected["BC"] = {"SL", "SR"}
    assert speakers_of(np.concatenate(waves, axis=1), places, layout) == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tones_stay_at_their_speakers_in_opus(tmp_path, layout):
    """Read by libsndfile, which gives the channels in the order of the format."""
    target = film_with(tmp_path, layout, ".webm")
    with av.open(str(target)) as container, av.open(str(tmp_path / "o.opus"), "w") as opus:
        copy = opus.add_stream_from_template(container.streams.audio[0], opaque=True)
        for packet in container.demux(audio=0):
            if packet.size:
                packet.stream = copy
                opus.mux(packet)
    wave = sf.read(tmp_path / "o.opus", frames=36000, always_2d=True)[0].T
    places = OPUS[len(wave)]
    if len(wave) < 8:
        places = [SAME.get(name, name) for name in places]
    assert speakers_of(wave, places, layout) == wanted(layout, places)


def test_the_track_says_the_layout(tmp_path):
    for layout, ending, labelled in (
        ("5.1(side)", ".mp4", "5.1"),
        ("quad", ".mp4", "quad"),
        ("6.1", ".webm", "6.1"),
    ):
        with av.open(str(film_with(tmp_path, layout, ending))) as container:
            assert next(container.decode(audio=0)).layout.name == labelled


@pytest.mark.parametrize("encoder", ENCODABLE)
def test_any_layout_has_a_place(encoder):
    """Also those without names, and those that no encoder has."""
    assert Placement("6 channels", encoder).layout == "5.1"
    for layout in (
        "downmix",
        "cube",
        "5.1.2",
        "7.1(wide)",
        "octagonal",
        "7 channels",
        "2 channels",
    ):
        wave = np.ones((av.AudioLayout(layout).nb_channels, 4), np.float32)
        placed = Placement(layout, encoder)
        heard = placed(wave)
        assert heard.shape == (av.AudioLayout(placed.layout).nb_channels, 4)
        assert placed.matrix.any(axis=0).all()  # no channel is lost
