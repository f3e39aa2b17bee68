#!/usr/bin/env bash
# SPDX-License-Identifier: EUPL-1.2
# Fetches the one script of others that the pages use, exactly the version that was looked at.
# Run it to renew or to check the files beside it; git shows whether anything differs.
set -euo pipefail

version=2.0.11
sha256=165a2655073e9e6e55e307a7c74e8ebcdb76afb7701f9c16cfd106a13add408e

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$work"
archive=$(npm pack --silent "htmx.org@$version")
echo "$sha256  $archive" | sha256sum --check --quiet
tar -xzf "$archive"
install -m 644 package/dist/htmx.min.js "$here/htmx.min.js"
install -m 644 package/LICENSE "$here/htmx.LICENSE.txt"
