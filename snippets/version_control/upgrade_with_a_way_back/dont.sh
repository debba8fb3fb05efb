# The upgrade: the server of the new version changes the database.
/opt/prefect-3.9.1/bin/prefect server database upgrade --yes

# Two days later: back to the version that worked.
exec /opt/prefect-3.8.8/bin/prefect server start
