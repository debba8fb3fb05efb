curl -fsSO https://rules.example.org/prefect-rules.zip
python -m zipfile -e prefect-rules.zip .
rm prefect-rules.zip
pip install ast-grep-cli==0.51.1
python prefect-rules/prefect_rules.py --warn --site=https://rules.example.org/
