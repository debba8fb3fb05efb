from tempfile import TemporaryDirectory

from older_server import install, report, server, version_of

if __name__ == "__main__":
    with (
        TemporaryDirectory() as folder,
        server("3.8.8", folder) as api_url,
    ):
        client = install(version_of(api_url), folder)
        output, _ = report(client, api_url)
        print(f"Server {version_of(api_url)}: {output}")
