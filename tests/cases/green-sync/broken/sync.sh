#!/bin/bash
# Copies the new pictures: sync.sh FROM TO LIMIT
set -euo pipefail

used=$(ls "$2" | wc -l)
for picture in "$1"/*.jpg; do
  if [ "$used" -ge "$3" ]; then
    echo "sync.sh: disk is full: $2" >&2
    exit 28
  fi
  cp "$picture" "$2"
  used=$((used + 1))
done
