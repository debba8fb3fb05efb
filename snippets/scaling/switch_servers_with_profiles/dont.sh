# In the morning: see what the team's server has.
export PREFECT_API_URL="http://prefect.example.org:4200/api"
prefect flow-run ls

# In the afternoon, in the same terminal: a trial on the laptop.
prefect profile use laptop
python report.py
