#!/usr/bin/env bash
# Write down by their digests which images this deployment runs, and builds its own from:
#   deploy/pin_images.sh [FILE]
# FILE is deploy/compose.images.yml unless given. Images that are not there are pulled. Look at what changed before
# you commit it; from then on the same bytes run everywhere, until this is run again:
#   docker compose -f docker-compose.yml -f deploy/compose.images.yml up --build
# A tag is whatever its registry says today. It needs Docker with compose, and bash.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
file=${1:-deploy/compose.images.yml}

pinned() { # IMAGE: with its digest
  local digests
  docker image inspect "$1" >/dev/null 2>&1 || docker pull --quiet "$1" >/dev/null
  digests=$(docker image inspect --format '{{join .RepoDigests "\n"}}' "$1")
  [ -n "$digests" ] || { echo "$1 was built here and not pulled: it has no digest" >&2; return 1; }
  echo "$1@${digests##*@}"
}

base=$(sed -n 's/^ARG PYTHON_IMAGE=//p' Dockerfile)
base=$(pinned "$base")
made="# Made by deploy/pin_images.sh.

services:
"
for service in api worker scheduler; do
  made+="  $service: {build: {args: {PYTHON_IMAGE: \"$base\"}}}
"
done
while read -r service image; do
  image=$(pinned "$image")
  made+="  $service: {image: \"$image\"}
"
done < <(awk '
  /^services:/ { inside = 1 } /^volumes:/ { inside = 0 }
  inside && /^  [a-z]+:$/ { service = substr($1, 1, length($1) - 1) }
  inside && $1 == "image:" && $2 !~ /^taskyard-/ { print service, $2 }
' docker-compose.yml)
printf %s "$made" >"$file"
echo "$file: $(grep -c @sha256: "$file") places pinned"
