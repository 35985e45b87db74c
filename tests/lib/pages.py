"""Changes by hand in postern.db, while nobody runs: its pages have checksums (docs/format.md, src/sql/sql_page.h) that sqlite3 knows nothing of."""
import contextlib
import pathlib
import sqlite3

PAGE, RESERVED_AT, SUM = 4096, 20, 8


def table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        yield n


TABLE = tuple(table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def sum_up(path):
    """The sums of all pages anew."""
    data = pathlib.Path(path).read_bytes()
    if data[RESERVED_AT] != SUM:
        return
    pages = []
    for at in range(0, len(data), PAGE):
        page = data[at:at + PAGE - SUM] + bytes(SUM - 4)
        pages.append(page + crc32c((at // PAGE + 1).to_bytes(8, "little") + page).to_bytes(4, "little"))
    with open(path, "r+b") as f:  # the owner stays
        f.write(b"".join(pages))


@contextlib.contextmanager
def database(folder):
    """A connection to the database of a data folder; what was changed is committed at the end."""
    path = pathlib.Path(folder) / "store" / "postern.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        yield db
        db.commit()
    sum_up(path)
