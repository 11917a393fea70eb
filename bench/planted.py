"""Faults for bench/faults.py, and the tests that must see them."""

from typing import NamedTuple

DATA = "tests/unit/training/test_data.py"
SOURCES = "tests/unit/training/test_sources.py"
LOSSES = "tests/unit/training/test_objectives.py"
TRAINER = "tests/unit/training/test_trainer.py"
TRAINING = "tests/unit/training/test_training.py"
UNUSUAL = "tests/unit/evaluation/test_unusual.py"
HUB = "tests/hub/test_hub.py"
PUBLISH = "tests/hub/test_publish.py"
FETCH = "tests/unit/page/test_fetch.py tests/unit/page/test_fetch_refusals.py"


class Fault(NamedTuple):
    """`text` in `file` replaced once by `planted`; `tests` are arguments of pytest."""

    file: str
    text: str
    planted: str
    tests: str


FAULTS = [
    # ---- training: what mixtures are made of
    Fault("training/data/batching.py", ", alpha=10 ** (gain_db / 20)", "", DATA),
    Fault("training/data/batching.py", "if m.babble:", "if False:", DATA),
    Fault("training/data/augment.py", "10 ** (tilt_db[:, None] * slope / 20)", "1", DATA),
    Fault(
        "training/data/mixture.py", "if self.happens(self.config.tilt) else", "if False else", DATA
    ),
    Fault("training/data/mixture.py", " + happens(config.second_noise)", "", DATA),
    Fault("training/data/mixture.py", " + happens(config.third_noise)", "", DATA),
    Fault(
        "training/data/batching.py",
        "early[:, round(config.early_seconds",
        "early[:, 0 * round(config.early_seconds",
        DATA,
    ),
    Fault(
        "training/data/batching.py",
        "early[:, round(config",
        "room.new_zeros(room.shape)[:, round(config",
        DATA,
    ),
    Fault("training/data/batching.py", "noisy[row, stretch] *= muted.gain", "pass", UNUSUAL),
    Fault(
        "training/data/batching.py",
        "active_rms(speech * material.lift)",
        "active_rms(speech)",
        UNUSUAL,
    ),
    Fault(
        "training/data/batching.py",
        "gain.minimum(0.99 / (noisy.abs().amax(1, keepdim=True) + 1e-9))",
        "gain",
        DATA,
    ),
    Fault("training/data/batching.py", "start = int(m.place * ", "start = int(0 * ", DATA),
    Fault("training/data/augment.py", "** (-exponent / 2)", "** (-exponent)", DATA),
    Fault("training/data/augment.py", "limit * 1.05 - hz", "limit * 2.05 - hz", DATA),
    Fault("training/data/cache.py", "[1] * excerpt.speed", "[1]", SOURCES),
    Fault("training/data/sources.py", "if path not in held_out", "", SOURCES),
    # ---- training: losses
    Fault("training/losses/band.py", "loss + HIGH_WEIGHT * high", "loss", LOSSES),
    Fault("training/losses/band.py", '+ PERCEPTUAL_WEIGHT * losses["disturbance"]', "", LOSSES),
    Fault("training/losses/band.py", '+ DISTORTION_WEIGHT * losses["distortion"]', "", LOSSES),
    Fault("training/losses/band.py", "HIGH_WEIGHT = 3.0", "HIGH_WEIGHT = 0.3", LOSSES),
    Fault(
        "training/losses/band.py",
        "along -= 2 * SUPPRESSED * c * u * (v - u).clamp(min=0)",
        "pass",
        LOSSES,
    ),
    Fault(
        "training/losses/band.py",
        "model(noisy) * lift, clean * lift",
        "model(noisy), clean",
        UNUSUAL,
    ),
    Fault(
        "training/losses/discriminator.py",
        "judged((fake - 1).square()) + matching",
        "judged((fake - 1).square())",
        "tests/unit/training/test_discriminator.py",
    ),
    Fault(
        "training/losses/discriminator.py",
        "+ judged(fake.square())",
        "",
        "tests/unit/training/test_discriminator.py",
    ),
    Fault("training/losses/distillation.py", "if mixture.ordinary", "", UNUSUAL),
    Fault(
        "training/losses/classic.py",
        "torch.minimum(picture, target).sum() /",
        "picture.sum() /",
        "tests/unit/models/test_classic.py",
    ),
    # ---- training: the step
    Fault(
        "training/trainer.py",
        "torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip_gradient)",
        "pass",
        TRAINER,
    ),
    Fault(
        "training/trainer.py", "own.lerp_(current, self.ema_weight)", "own.copy_(current)", TRAINER
    ),
    Fault("training/trainer.py", "min(1.0, self.step / self.recipe.warmup_steps)", "1.0", TRAINER),
    Fault("training/trainer.py", 'if name != "adam"', "if True", TRAINER),
    Fault("training/trainer.py", "target.copy_(source)", "pass", TRAINER),
    Fault("training/trainer.py", "optimiser.load_state_dict(saved)", "pass", TRAINING),
    Fault(
        "training/trainer.py",
        'loss + self.recipe.adversarial * losses["adversarial"]',
        "loss",
        TRAINER,
    ),
    Fault("training/train.py", "itertools.count(trainer.step)", "itertools.count()", TRAINING),
    Fault("training/train.py", "min(1.0, share / decay) if decay else 1.0", "1.0", TRAINING),
    # ---- the Hub
    Fault("denoiser/hub/download.py", '_verify(folder / "model.safetensors")', "pass", HUB),
    Fault(
        "denoiser/hub/download.py",
        "if folder is None or not COMMIT.fullmatch(revision):",
        "if True:",
        HUB,
    ),
    Fault(
        "denoiser/hub/download.py",
        "_refuse_giants(name, max(sizes[file] for file in files))",
        "pass",
        HUB,
    ),
    Fault("denoiser/hub/publish.py", "if private and not about.private:", "if False:", PUBLISH),
    Fault("denoiser/hub/publish.py", ' - {".gitattributes"}', "", PUBLISH),
    Fault(
        "denoiser/hub/publish.py",
        "download.within(download.DECISION_SECONDS, api.whoami)",
        "pass",
        PUBLISH,
    ),
    Fault("denoiser/hub/card.py", "MIT, for the code and these weights.", "", PUBLISH),
    # ---- the page
    Fault(
        "page/results.py", "min(max(quieter, -LOUDER_DB), LOUDER_DB)", "quieter", "tests/unit/page"
    ),
    Fault(
        "page/results.py",
        "min(max(quieter, -LOUDER_DB), LOUDER_DB)",
        "-min(max(quieter, -LOUDER_DB), LOUDER_DB)",
        "tests/unit/page/test_player_levels.py",
    ),
    Fault(
        "page/links.py",
        'query |= {"mono": "1"} if settings.mono else {}',
        "pass",
        "tests/unit/page/test_queries.py",
    ),
    Fault(
        "page/links.py",
        "if entry.weights == wanted.weights:",
        "if True:",
        "tests/unit/page/test_queries.py",
    ),
    Fault(
        "page/links.py",
        "elif _address_of(path).exists():",
        "elif False:",
        "tests/unit/page/test_link_of_address.py",
    ),
    Fault(
        "page/links.py",
        "0 <= float(text) <= 100",
        "True or float(text)",
        "tests/unit/page/test_queries.py",
    ),
    Fault("page/fetch.py", "if not _is_public(address):", "if False:", FETCH),
    Fault(
        "page/fetch.py",
        "wrapped = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]",
        "wrapped = []",
        FETCH,
    ),
    Fault("page/fetch.py", "if size > most_bytes:", "if False:", FETCH),
    Fault(
        "page/session.py",
        "shutil.rmtree(folder, ignore_errors=True)",
        "pass",
        "tests/server/test_endpoints.py -k stop",
    ),
    # ---- reading and writing
    Fault(
        "denoiser/audio/timing.py",
        "yield from _silence(piece, hole)",
        "pass",
        "tests/unit/audio/test_timing.py",
    ),
    Fault(
        "denoiser/audio/timing.py",
        "piece.time <= end + 1",
        "True",
        "tests/unit/audio/test_timing.py",
    ),
    Fault(
        "denoiser/audio/timing.py",
        "hole <= LONGEST_HOLE_SECONDS",
        "True",
        "tests/unit/audio/test_timing.py",
    ),
    Fault(
        "denoiser/audio/timing.py",
        "return seconds > 1.2 * claimed_seconds(container, stream) + 1.0",
        "return False",
        "tests/unit/audio/test_timing.py",
    ),
    Fault(
        "denoiser/audio/damage.py",
        "self.scattered >= FEW_PACKETS and",
        "",
        "tests/unit/audio/test_codecs.py tests/unit/audio/test_damaged_audio.py",
    ),
    Fault(
        "denoiser/audio/decode.py",
        "!= stream.index or _is_contents(packet):",
        "!= stream.index:",
        "tests/unit/audio/test_codecs.py",
    ),
    Fault(
        "denoiser/audio/layouts.py",
        "gains = mono_gains(layout) * audible",
        "gains = mono_gains(layout)",
        "tests/unit/audio/test_layouts.py",
    ),
    Fault(
        "denoiser/audio/layouts.py",
        '"LFE": 0.0, "LFE2": 0.0',
        '"LFE2": 0.0',
        "tests/unit/denoiser/test_levels.py",
    ),
    Fault(
        "denoiser/audio/sandbox.py",
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))",
        "pass",
        "tests/unit/audio/test_sandbox.py",
    ),
    Fault(
        "denoiser/audio/sandbox.py",
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
        "pass",
        "tests/unit/audio/test_sandbox.py",
    ),
    Fault(
        "denoiser/levels.py",
        "offset[np.abs(offset) < SMALL_OFFSET * np.sqrt(power)] = 0",
        "pass",
        "tests/unit/denoiser/test_offline.py",
    ),
    Fault(
        "denoiser/levels.py",
        "row[usual(row, CLICK_FRAMES, RARE_DB)].mean()",
        "row.mean()",
        "tests/unit/denoiser/test_levels.py",
    ),
    Fault(
        "denoiser/stream.py",
        "np.clip(self.gain * (wave - self.offset), -BEYOND_SPEECH, BEYOND_SPEECH)",
        "self.gain * (wave - self.offset)",
        "tests/unit/denoiser/test_levels.py",
    ),
    Fault(
        "denoiser/stream.py",
        "self.gain * (wave - self.offset)",
        "self.gain * wave",
        "tests/unit/denoiser/test_levels.py",
    ),
    Fault(
        "denoiser/mixing.py",
        "downmix(wave) - disturbance.offset",
        "downmix(wave)",
        "tests/unit/denoiser/test_levels.py",
    ),
]
