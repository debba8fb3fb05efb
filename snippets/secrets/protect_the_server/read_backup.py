import json
import sqlite3
import sys

from cryptography.fernet import Fernet, InvalidToken

if __name__ == "__main__":
    db = sqlite3.connect(sys.argv[1])
    (setting,) = db.execute(
        "SELECT value FROM configuration WHERE key = 'ENCRYPTION_KEY'"
    ).fetchone()
    fernet = Fernet(json.loads(setting)["fernet_key"])

    for name, data in db.execute("SELECT name, data FROM block_document"):
        try:
            print(f"{name}: {fernet.decrypt(json.loads(data)).decode()}")
        except InvalidToken:
            print(f"{name}: encrypted with another key")
