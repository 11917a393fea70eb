# Sourced by band.sh, band-live.sh and classic.sh: reads the environment variables that they share,
# and defines the steps that each of them is a sequence of.
#
#   CLEAN    folders of clean speech, separated by spaces, or @FILE with a path a line (required)
#   NOISE    folders of noise, given like CLEAN (required)
#   RIR      folders of room impulse responses, given like CLEAN (default: none)
#   PAIRS    folders with noisy/ and clean/ that the result is scored on (default: samples)
#   OUT      the folder for every run and the result (default: runs/NAME, NAME of the script)
#   DEVICE   auto, cpu, cuda or mps (default: auto)
#   MINUTES  of training, over all runs together
#   STEPS    ends every run after so many steps: for a rehearsal (default: unset)
#   PYTHON   the interpreter (default: .venv/bin/python, otherwise python3)
#
# A script that was stopped goes on where it was when it is started again with the same variables.

name=$(basename "$0" .sh)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${CLEAN:?give folders of clean speech, separated by spaces}"
: "${NOISE:?give folders of noise, separated by spaces}"
RIR=${RIR:-}
PAIRS=${PAIRS:-samples}
OUT=${OUT:-runs/$name}
DEVICE=${DEVICE:-auto}
MINUTES=${MINUTES:-60}
STEPS=${STEPS:-}
if [[ -z ${PYTHON:-} ]]; then
    PYTHON=python3
    if [[ -x .venv/bin/python ]]; then PYTHON=.venv/bin/python; fi
fi

read -ra clean <<<"$CLEAN"
read -ra noise <<<"$NOISE"
read -ra rooms <<<"$RIR"
read -ra pairs <<<"$PAIRS"
trap 'exit 130' INT # training saves and ends well on Ctrl+C: what follows must not begin
mkdir -p "$OUT"

# Lists the speech that DNSMOS rates well enough to be a training target; later runs read the list.
select_speech() {
    if [[ ! -e $OUT/voices.txt ]]; then
        "$PYTHON" -m training.prepare.select_speech "${clean[@]}" >"$OUT/voices.part"
        mv "$OUT/voices.part" "$OUT/voices.txt"
    fi
    clean=("@$OUT/voices.txt")
}

# run NAME RECIPE FROM SHARE [OPTION...]: trains OUT/NAME for a share (in percent) of MINUTES,
# beginning with the weights in OUT/FROM, or with random ones where FROM is empty.
run() {
    local folder=$OUT/$1 recipe=$2 from=$3 share=$4
    shift 4
    if [[ -e $folder/finished ]]; then return; fi
    local options=(--recipe "$recipe" --clean "${clean[@]}" --noise "${noise[@]}")
    if ((${#rooms[@]})); then options+=(--rir "${rooms[@]}"); fi
    if [[ -n $STEPS ]]; then options+=(--steps "$STEPS"); fi
    if [[ -e $folder/state.safetensors ]]; then
        options+=(--resume)
    elif [[ -n $from ]]; then
        options+=(--init "$OUT/$from")
    fi
    options+=(--minutes "$(awk "BEGIN { print $MINUTES * $share / 100 }")" --device "$DEVICE")
    "$PYTHON" -m training.train "${options[@]}" --out "$folder" "$@"
    touch "$folder/finished"
}

# mean NAME FROM...: the mean of the weights in OUT/FROM...; a name given twice counts twice.
mean() {
    local folder=$OUT/$1
    shift
    "$PYTHON" -m training.weights.average "${@/#/"$OUT"/}" --out "$folder"
}

# score FOLDER: metrics.json and the model card of the checkpoint in OUT/FOLDER.
score() {
    "$PYTHON" -m training.evaluate "$OUT/$1" "${pairs[@]}" --scores "$OUT/scores.jsonl" \
        --device "$DEVICE"
    "$PYTHON" -m denoiser.hub.card "$OUT/$1"
    echo "The weights are in $OUT/$1."
}
