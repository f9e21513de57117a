#!/bin/sh
# Runs a fixed list of small simulations with the tool given and prints a line for each: equal tools print equal lines.
tool=$1
out=$(mktemp)
trap 'rm -f "$out"' EXIT
cd "$(dirname "$0")/../.." || exit 1
run() {
    name=$1
    shift
    "$tool" run configs/quickstart.json --json --quiet --set 'observers=["summary","coverage","latency","traffic","memory","digest","audit"]' "$@" >"$out" || exit 1
    printf '%s %s\n' "$name" "$(sha256sum <"$out" | cut -c1-32)"
}
run lru
run lfu --set policy=lfu
run random --set policy=random --set contract.overflow=trim
run belady --set policy=belady --set bounds=false
run hybrid --set policy=hybrid --set clock=none
run guesses --set predictor=previous_token --set compute.protect_guesses=true
run oracle --set predictor=noisy_oracle --set predictor.accuracy=0.8 --set bounds=false
run transition --set predictor=transition --set compute.lookahead=3
run learned --set 'predictor={"name":"learned","weights":"models/predictors/quickstart.h5","least":0.3}'
run shared --set channels.pcie.discipline=shared
run lanes --set channels.pcie.discipline=lanes --set channels.pcie.lanes=3 --set contract.scope=layer
run jitter --set 'channels.pcie.timing={"name":"jitter","latency":"10us","rate":"25GB/s","cv":0.3}' --set channels.pcie.profile=null
run serialized --set contract=serialized --set clock=none
run generated --set 'trace={"source":{"name":"synthetic","layers":6,"experts":40,"top_k":3,"decode_tokens":200}}' --set model.shape=null \
    --set model.precision=null --set model.expert_bytes=9MB --set tiers.cache.capacity=30%
