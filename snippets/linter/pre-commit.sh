pre-commit autoupdate --bleeding-edge --freeze
git add .pre-commit-config.yaml
pre-commit install
pre-commit run prefect-rules-record --hook-stage manual
