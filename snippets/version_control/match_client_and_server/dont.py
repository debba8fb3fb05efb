import sys
from tempfile import TemporaryDirectory

from older_server import report, server, version_of

if __name__ == "__main__":
    with (
        TemporaryDirectory() as folder,
        server("3.8.8", folder) as api_url,
    ):
        client = sys.executable
        output, _ = report(client, api_url)
        print(f"Server {version_of(api_url)}: {output}")
