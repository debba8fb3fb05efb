# Before the upgrade: note where to go back to, and take a copy.
psql "$DATABASE" -Atc "SELECT version_num FROM alembic_version" > before.txt
pg_dump --format=custom --file=before.dump "$DATABASE"

# The upgrade: the server of the new version changes the database.
/opt/prefect-3.9.1/bin/prefect server database upgrade --yes

# Two days later: back to the version that worked.
before=$(cat before.txt)
/opt/prefect-3.9.1/bin/prefect server database downgrade --yes -r "$before"
exec /opt/prefect-3.8.8/bin/prefect server start
