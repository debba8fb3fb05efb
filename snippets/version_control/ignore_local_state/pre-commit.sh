#!/bin/sh
# Refuse what looks like a key of Prefect Cloud or a private key.
if git diff --cached --unified=0 |
    grep -E '^\+.*(pn[ub]_[A-Za-z0-9_]{8}|PRIVATE KEY-----)'
then
    echo "This commit holds a secret. Take it out, and commit again."
    exit 1
fi
