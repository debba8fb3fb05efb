# The address at which a browser reaches the API.
export PREFECT_UI_API_URL="https://prefect.example.org/api"

prefect server start --port 4480
