"""The numbers in metrics.json come from the command that prints them."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import denoiser
from denoiser import audio, checkpoint, metrics
from denoiser.models.band import BandUNet, BandUNetConfig
from evaluation import cli, cost, preservation, scores, tables

ROOT = Path(__file__).parents[3]
SAMPLE = "voicebank_p232_242.flac"
OTHER = "voicebank_p232_170.flac"


@pytest.fixture(scope="module")
def band():
    return denoiser.load(device="cpu")


@pytest.mark.long
def test_the_published_weights_still_score_what_the_card_says(band):
    """Six recordings that the repository carries; PESQ within 0.05, SI-SDR within 0.2 dB."""
    stored = json.loads((checkpoint.DEFAULT / "metrics.json").read_text())["samples"]
    fresh = tables.summary(scores.rows(band, ROOT / "samples", dnsmos=False))
    assert fresh["pairs"] == stored["pairs"] == 6
    for kind in ("noisy", "enhanced"):
        assert fresh[kind]["pesq"] == pytest.approx(stored[kind]["pesq"], abs=0.05)
        assert fresh[kind]["si_sdr"] == pytest.approx(stored[kind]["si_sdr"], abs=0.2)
    assert fresh["enhanced"]["pesq"] > fresh["noisy"]["pesq"] + 0.3
    assert fresh["enhanced"]["si_sdr"] > fresh["noisy"]["si_sdr"] + 5


def test_a_clean_voice_passes_and_noise_alone_does_not(band):
    clean, rate = audio.read(ROOT / "samples/clean/air_conditioner.flac")
    noisy, _ = audio.read(ROOT / "samples/noisy/air_conditioner.flac")
    kept = denoiser.denoise(band, clean, rate)
    assert 10 * np.log10(np.square(clean).sum() / np.square(kept - clean).sum()) > 15
    noise = noisy - clean
    left = denoiser.denoise(band, noise, rate)
    assert 10 * np.log10(np.square(left).sum() / np.square(noise).sum()) < -20


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A folder with one pair, and an untrained model beside it, as the current folder."""
    monkeypatch.chdir(tmp_path)
    checkpoint.save(BandUNet(BandUNetConfig(channels=16)), tmp_path / "model")
    for kind in ("noisy", "clean"):
        (tmp_path / "few" / kind).mkdir(parents=True)
        shutil.copy(ROOT / "samples" / kind / SAMPLE, tmp_path / "few" / kind / SAMPLE)
    return tmp_path / "few"


def result_of(folder: Path) -> dict:
    return json.loads((folder.parent / "model/metrics.json").read_text())[folder.name]


def test_the_command_prints_a_table_and_writes_its_numbers(few, capsys):
    (few.parent / "model/metrics.json").write_text('{"other": {"pairs": 3}}')
    assert cli.main(["model", "few", "--no-dnsmos"]) == 0
    metrics_file = json.loads((few.parent / "model/metrics.json").read_text())
    assert metrics_file["other"] == {"pairs": 3}  # another set's numbers stay
    noisy = result_of(few)["noisy"]
    row = f"| few (1) | noisy | {noisy['pesq']:.3f} | {noisy['estoi']:.3f} | {noisy['stoi']:.3f}"
    printed = capsys.readouterr()
    assert row in printed.out
    assert "metrics.json keeps other as it was: of these weights?" in printed.err
    stored = {"si_sdr": 0.50, "pesq_nb": 1.50, "csig": 1.90, "cbak": 1.67, "covl": 1.55}
    assert {name: noisy[name] for name in stored} == pytest.approx(stored, abs=0.05)
    assert "ovrl" not in noisy


def test_csv_json_and_plots_hold_the_same_numbers(few, capsys, monkeypatch):
    opinion = {"ovrl": 2.0, "sig": 3.0, "bak": 4.0, "p808": 2.5}
    monkeypatch.setattr(metrics, "dnsmos", lambda *, enhanced, sample_rate: opinion)
    outputs = ["--json", "--csv", "all.csv", "--plots", "pictures"]
    assert cli.main(["model", "few", *outputs]) == 0
    result = result_of(few)
    assert json.loads(capsys.readouterr().out)["few"] == result
    with open("all.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["kind"] for line in lines] == ["noisy", "enhanced"]
    for line in lines:
        means = result[line["kind"]]
        texts = {"set": "few", "name": SAMPLE, "kind": line["kind"]}
        assert line == texts | {name: str(value) for name, value in means.items()}
        assert {name: means[name] for name in opinion} == opinion
    picture = Path("pictures/few", SAMPLE).with_suffix(".png")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_an_interrupted_evaluation_goes_on_where_it_was(few, monkeypatch):
    for kind in ("noisy", "clean"):
        shutil.copy(ROOT / f"samples/{kind}/voicebank_p232_170.flac", few / kind)
    opinions, calls = metrics.opinions, []

    def interrupted(**signals):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(len(signals["clean"]))
        return opinions(**signals)

    monkeypatch.setattr(metrics, "opinions", interrupted)
    assert cli.main(["model", "few", "--no-dnsmos"]) == 130
    kept = Path("runs/scores.jsonl")
    kept.write_text(kept.read_text()[:-9])  # as if cut off while the third was written
    calls.clear()
    assert cli.main(["model", "few", "--no-dnsmos"]) == 0
    assert len(calls) == 2
    assert cli.main(["model", "few", "--no-dnsmos"]) == 0
    assert len(calls) == 2
    resumed = result_of(few)
    kept.unlink()
    calls.clear()
    monkeypatch.setattr(metrics, "opinions", opinions)
    assert cli.main(["model", "few", "--no-dnsmos"]) == 0
    assert result_of(few) == resumed


def test_other_weights_are_scored_anew_and_the_noisy_recording_is_not(few, monkeypatch):
    assert cli.main(["model", "few", "--no-dnsmos"]) == 0
    before, opinions, calls = result_of(few), metrics.opinions, []

    def counted(**signals):
        calls.append(signals)
        return opinions(**signals)

    monkeypatch.setattr(metrics, "opinions", counted)
    model = checkpoint.load("model")
    model.decode.bias.data.mul_(0.5)
    checkpoint.save(model, "model")
    assert cli.main(["model", "few", "--no-dnsmos"]) == 0
    assert len(calls) == 1
    assert result_of(few)["noisy"] == before["noisy"]
    assert abs(result_of(few)["enhanced"]["csig"] - before["enhanced"]["csig"]) > 0.01


def test_silence_for_clean_speech_is_a_sentence_with_its_name(few, capsys):
    audio.write(few / "clean" / SAMPLE, 0 * audio.read(few / "clean" / SAMPLE)[0], 16000)
    assert cli.main(["model", "few", "--no-dnsmos"]) == 1
    assert f"{SAMPLE}, noisy, cannot be scored: PESQ found no speech" in capsys.readouterr().err


def rows(scores: dict[str, tuple[float, float]]) -> list[dict]:
    """File name -> PESQ of noisy and enhanced, as rows of an evaluation."""
    return [
        {"name": name, "noisy": {"pesq": noisy}, "enhanced": {"pesq": enhanced}}
        for name, (noisy, enhanced) in scores.items()
    ]


def test_means_medians_and_groups_by_hand():
    result = tables.summary(
        rows(
            {
                "00_rain_+10dB.flac": (1.0, 2.0),
                "01_babble-cafe_-5dB.flac": (1.5, 2.0),
                "02_rain_+5dB.flac": (3.5, 5.0),
                "fan_snr10_tl-21_fileid_3.wav": (2.0, 4.0),
            }
        )
    )
    assert result["pairs"] == 4
    assert (result["noisy"]["pesq"], result["enhanced"]["pesq"]) == (2.0, 3.25)
    assert result["medians"] == {"noisy": {"pesq": 1.75}, "enhanced": {"pesq": 3.0}}
    assert list(result["by_snr"]) == ["-5", "5", "10"]
    assert result["by_snr"]["10"]["pairs"] == 2
    assert result["by_snr"]["10"]["enhanced"] == {"pesq": 3.0}
    assert {kind: row["noisy"]["pesq"] for kind, row in result["by_noise"].items()} == {
        "babble-cafe": 1.5,
        "rain": 2.25,
    }
    lines = tables.breakdown({"valid": result}, "by_snr").splitlines()
    assert lines[0] == "| set | input SNR, dB | pairs | PESQ-WB |"
    assert lines[-1] == "| valid | 10 | 2 | 1.500 → 3.000 |"
    unnamed = tables.summary(rows({"p232_001.wav": (1.0, 2.0)}))
    assert set(unnamed) == {"pairs", "noisy", "enhanced", "medians"}
    assert tables.breakdown({"voicebank": unnamed}, "by_snr") == ""


def test_the_table_has_the_columns_that_all_sets_have():
    pesq, both = {"pesq": 1.0}, {"pesq": 1.5, "ovrl": 2.0}
    results = {
        "a": {"pairs": 2, "noisy": pesq, "enhanced": both},
        "b": {"pairs": 1, "noisy": both, "enhanced": both},
    }
    assert tables.table(results).splitlines() == [
        "| set |  | PESQ-WB |",
        "|---|---|---|",
        "| a (2) | noisy | 1.000 |",
        "|  | enhanced | 1.500 |",
        "|  | gain | +0.500 |",
        "| b (1) | noisy | 1.500 |",
        "|  | enhanced | 1.500 |",
        "|  | gain | +0.000 |",
    ]
    assert "| OVRL |" in tables.table({"b": results["b"]})


def test_a_folder_without_pairs_is_a_sentence(tmp_path, capsys):
    checkpoint.save(BandUNet(BandUNetConfig(channels=16)), tmp_path / "model")
    assert cli.main([str(tmp_path / "model"), str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"No pairs in {tmp_path}: it needs noisy/ and clean/.\n"


def test_a_name_on_the_hub_is_refused_before_anything_is_scored(few, capsys):
    assert cli.main(["me/quiet", "few"]) == 1
    sentence = "No checkpoint at me/quiet: give a folder that contains config.json.\n"
    assert capsys.readouterr().err == sentence
    assert not Path("runs").exists()


def test_two_sets_of_one_name_are_refused(capsys):
    with pytest.raises(SystemExit):
        cli.main(["model", "a/valid", "b/valid"])
    assert "folders of pairs need different names, got valid, valid" in capsys.readouterr().err


def test_multiply_accumulates_are_those_of_the_shapes():
    """A frame of 16 ms: C channels of 32 sub-bands, W of 32 positions, counted layer by layer."""
    c = BandUNetConfig(state_channels=96)
    channels, width = c.channels, c.bottleneck_channels
    encoder = 32 * 48 * channels + c.blocks * 32 * 3 * channels**2
    narrowing = 32 * channels * width + 28 * 32 * width
    block = 32 * 3 * width * c.state_channels + 32 * 2 * width**2 + 32 * 32 * width
    widening = 32 * 28 * width + 32 * (width + channels) * channels
    decoder = c.blocks * 32 * 3 * channels**2 + 32 * channels * 32
    low = encoder + narrowing + c.bottleneck_blocks * block + widening + decoder
    into_bands, out_of_bands = 513 * c.high_bands, c.high_bands * 513 * 2
    layers = c.high_bands * 4 * width + (4 * width + c.high_bands) * c.high_bands
    frame = low + into_bands + layers + out_of_bands
    assert cost.macs_per_second(BandUNet(c).eval()) == pytest.approx(62.5 * frame, rel=0.01)


@pytest.mark.long
def test_speed_is_one_table_of_cpu_time_per_second_of_audio(few, capsys, monkeypatch):
    heard = []

    def once(work) -> float:
        work()
        return 0.6

    monkeypatch.setattr(cost, "cpu_seconds", once)
    monkeypatch.setattr(cost, "denoise", lambda _, wave, rate: heard.append(wave.shape[1] / rate))
    monkeypatch.setattr(cost, "import_seconds", lambda: 1.5)
    monkeypatch.setattr(cost, "macs_per_second", lambda _: 5.2e6)
    live = BandUNet(BandUNetConfig(channels=16, causal=True))
    peak_gib = cost.hour_of_stereo(live.eval(), minutes=1 / 6)
    assert 0.1 < peak_gib < 4
    monkeypatch.setattr(cost, "hour_of_stereo", lambda model: peak_gib)
    checkpoint.save(live, "live")
    for name, step in (
        ("model", "not causal: hears ahead"),
        ("live", "0.0600 of real time, 16 ms"),
    ):
        assert cli.main([name, "--speed"]) == 0
        printed = capsys.readouterr().out
        parameters = sum(p.numel() for p in checkpoint.load(name).parameters())
        assert f"| parameters | {parameters:,} |" in printed
        assert "| multiply-accumulates per second of audio | 5 million |" in printed
        assert "| `denoise()` of 60 s, 48 kHz mono, one thread | 0.0100 of real time |" in printed
        assert f"| `step()`, hop by hop, one thread | {step}" in printed
        assert f"| peak memory, 60-minute stereo file | {peak_gib:.2f} GiB |" in printed
    assert heard == [60, 60]


def test_extremes_are_what_is_kept_of_speech_and_lost_of_noise(few, capsys, monkeypatch):
    """All loses 20 dB; the error is 26 and 20 dB below two voices, 14 at twice their speed."""
    for kind in ("noisy", "clean"):
        shutil.copy(ROOT / "samples" / kind / OTHER, few / kind / OTHER)
    whole = [sf.info(few / "clean" / name).frames for name in (SAMPLE, OTHER)]
    shares = dict(zip(whole, (0.05, 0.1), strict=True))

    def denoise(model, wave, rate):
        error = np.random.default_rng(0).standard_normal(wave.shape)
        error *= shares.get(wave.shape[1], 0.2) * np.sqrt(np.square(wave).mean())
        return (0.1 * (wave + error)).astype(np.float32)

    monkeypatch.setattr(preservation, "denoise", denoise)
    assert preservation.main(["model", "few"]) == 0
    cells = capsys.readouterr().out.splitlines()[-1].split("|")[2:6]
    measured = [float(cell.removesuffix("dB ")) for cell in cells]
    assert measured == pytest.approx([23, 20, 14, 20], abs=0.2)
