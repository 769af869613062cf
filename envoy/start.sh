#!/bin/sh
# Writes the Envoy configuration of the document $GATEWAY and runs Envoy with it; arguments go to Envoy. $GENERATE_OPTIONS has
# further options of `portcullis generate envoy`, separated by spaces.
set -eu

config=$(mktemp -d)/envoy.yaml
# shellcheck disable=SC2086
portcullis generate envoy "$GATEWAY" --address "${ADDRESS:-127.0.0.1}" --port "${PORT:-8080}" --admin-port "${ADMIN_PORT:-9901}" --wasm "$MODULE" ${GENERATE_OPTIONS:-} >"$config"
exec envoy -c "$config" "$@"
