ast-grep scan --config prefect-rules/sgconfig.yml --min-severity error --format sarif
