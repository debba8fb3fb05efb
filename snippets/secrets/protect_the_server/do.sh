umask 077
new_password='import secrets; print(secrets.token_urlsafe())'
new_key='from cryptography.fernet import Fernet as F; print(F.generate_key().decode())'
test -s password || python -c "$new_password" > password
test -s key || python -c "$new_key" > key

export PREFECT_SERVER_API_AUTH_STRING="admin:$(cat password)"
export PREFECT_SERVER_ENCRYPTION_KEY="$(cat key)"
exec prefect server start
