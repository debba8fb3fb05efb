import socket

ADDRESS = ("printer-3.warehouse.example", 9100)


def send(label: str) -> None:
    """Send a label line by line, as the old printer wants it."""
    with socket.create_connection(ADDRESS, timeout=10) as connection:
        for line in label.splitlines():
            connection.sendall(f"{line}\r\n".encode())
