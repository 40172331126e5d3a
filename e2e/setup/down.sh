#!/usr/bin/env bash
# Takes a Kubernetes of ours down: down.sh demo|test. What was built stays in the cache.
. "$(dirname "$0")/common.sh"
step "take '${1:?demo or test}' down" "$ROOT/e2e/${E2E_PROVIDER:-local}/cluster.sh" "$1" down
