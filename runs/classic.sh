#!/usr/bin/env bash
# Trains ClassicUNet, the log-spectrogram UNet, from folders of sound to a scored checkpoint:
#
#   CLEAN="speech1 speech2" NOISE=noise runs/classic.sh
#
# The published weights in checkpoints/classic were made by this training command, in 15 minutes of
# one CPU core (research/lineage.md), but by the code of that day; the result of this script HAS NOT
# BEEN MEASURED YET.
#
# The variables are described in runs/steps.sh; STEPS is 5000 by default. The result is OUT/classic.
set -euo pipefail
STEPS=${STEPS:-5000}
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

run classic classic "" 100 --decay 0.3
score classic
