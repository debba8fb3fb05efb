export PREFECT_UI_SERVE_BASE="/prefect"
export PREFECT_UI_API_URL="https://data.example.org/prefect/api"
export PREFECT_SERVER_API_BASE_PATH="/prefect/api"
export PREFECT_SERVER_API_AUTH_STRING="admin:$(cat password)"
exec prefect server start
