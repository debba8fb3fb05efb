exec prefect server start
