# on each of the two machines
prefect server start --host 0.0.0.0 --no-services

# on one of them, or on a third
prefect server services start
