prefect server start --port 4480
