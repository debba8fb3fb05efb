python prefect-rules/prefect_rules.py --record
git add prefect-rules .prefect-rules.json
