#!/usr/bin/env bash
# Trains the causal BandUNet for streams in one go, from folders of sound to a scored checkpoint:
#
#   CLEAN="speech1 speech2" NOISE=noise RIR=rooms MINUTES=60 runs/band-live.sh
#
# The published weights in checkpoints/band-live were made in more steps than these, some of them
# with settings and code that no longer exist: research/lineage.md has every command. This script
# keeps the steps that the log found useful, with today's recipes. Its own result HAS NOT BEEN
# MEASURED YET. The published weights began with 400 h of mixtures in a `band` model and heard 523 h
# more; MINUTES decides how many yours hear.
#
# The variables are described in runs/steps.sh. The result is OUT/band-live.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

select_speech
run base band-live "" 50 --decay 0
# Two ends on other mixtures, their learning rates falling to zero: without and with a discriminator
run plain band-live base 25 --seed 2 --decay 1
run critic band-live-adversarial base 25 --seed 3 --decay 1
mean band-live critic critic plain
score band-live
