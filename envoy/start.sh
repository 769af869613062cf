#!/bin/sh
# Writes the Envoy configuration of the document $GATEWAY and runs Envoy with it; arguments go to Envoy.
set -eu

config=$(mktemp -d)/envoy.yaml
portcullis generate envoy "$GATEWAY" --address "${ADDRESS:-127.0.0.1}" --port "${PORT:-8080}" --admin-port "${ADMIN_PORT:-9901}" --wasm "$MODULE" >"$config"
exec envoy -c "$config" "$@"
