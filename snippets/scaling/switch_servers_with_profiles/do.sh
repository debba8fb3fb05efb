# In the morning: see what the team's server has.
prefect --profile team flow-run ls

# In the afternoon, in the same terminal: a trial on the laptop.
prefect profile use laptop
python report.py
