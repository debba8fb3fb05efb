#!/bin/sh
# Refuse what looks like a key of Prefect Cloud or a private key.
if git grep --cached -lE 'pn[ub]_[A-Za-z0-9_]{8}|PRIVATE KEY-{5}'
then
    echo "These files hold a secret. Take it out, and commit again."
    exit 1
fi
