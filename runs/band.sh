#!/usr/bin/env bash
# Trains BandUNet for recordings in one go, from folders of sound to a scored checkpoint:
#
#   CLEAN="speech1 speech2" NOISE=noise RIR=rooms MINUTES=60 runs/band.sh
#
# The published weights in checkpoints/band were made in more steps than these, some of them with
# settings and code that no longer exist: research/lineage.md has every command. This script keeps
# the steps that the log found useful, with today's recipes. Its own result HAS NOT BEEN MEASURED
# YET. The published weights heard 2,085 h of mixtures; MINUTES decides how many yours hear.
#
# The variables are described in runs/steps.sh. The result is OUT/band.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

select_speech
run base band "" 50 --decay 0
# Two ends on other mixtures, their learning rates falling to zero: without and with a discriminator
run plain band base 20 --seed 2 --decay 1
run critic band-adversarial base 20 --seed 3 --decay 1
mean common plain critic critic base
# Held vowels, quiet second voices, muted stretches; the teacher keeps all other speech as it was
run unusual band-unusual common 10 --seed 4 --decay 1 --teacher "$OUT/common"
mean band unusual unusual common
score band
