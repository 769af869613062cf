#!/bin/sh
# Generates the Envoy configuration from the document $GATEWAY and runs Envoy with it. Arguments are passed to Envoy. Set
# $GENERATE_OPTIONS to further options of `portcullis generate envoy`, separated by spaces.
set -eu

config=$(mktemp -d)/envoy.yaml
# shellcheck disable=SC2086
portcullis generate envoy "$GATEWAY" --address "${ADDRESS:-127.0.0.1}" --port "${PORT:-8080}" --admin-port "${ADMIN_PORT:-9901}" --wasm "$MODULE" ${GENERATE_OPTIONS:-} >"$config"
exec envoy -c "$config" "$@"
