"""Reads the files of a store as docs/format.md describes them, without any code of Postern's: a second opinion on what is on the disk."""
import pathlib
import sqlite3
import struct

HEADER = struct.Struct("<4sBBHQQQIIIII")  # up to the CRC of skeleton and summary
HEADER_BYTES, KIND_MESSAGE = 64, 1


class Damaged(Exception):
    """A row or a record that is not what the format says."""


def record(folder, segment, offset):
    """(id, message) of the record there."""
    with open(folder / "mail" / f"{segment:08d}.seg", "rb") as f:
        f.seek(offset)
        head = f.read(HEADER_BYTES)
        magic, version, kind, _, number, _, length, skeleton, summary, *_ = HEADER.unpack_from(head)
        if magic != b"PSTR" or version != 1 or kind != KIND_MESSAGE:
            raise Damaged(f"no message at {segment}:{offset}")
        f.seek(skeleton + summary, 1)
        return number, f.read(length)


def messages(folder):
    """(address, mailbox, uid, prefix and message) of all mailboxes. `folder`: the data folder; the office may be running or not."""
    store = pathlib.Path(folder) / "store"
    db = sqlite3.connect(f"file:{store}/postern.db?mode=ro", uri=True)
    try:
        rows = db.execute(
            "SELECT a.address, m.name, s.uid, e.prefix, e.body_id, b.segment, b.offset, b.size FROM message_state s"
            " JOIN mailbox m ON m.account_id = s.account_id AND m.id = s.mailbox_id JOIN account a ON a.id = s.account_id"
            " LEFT JOIN message_env e ON e.key = (s.mailbox_id << 32 | s.uid) AND e.account_id = s.account_id"
            " LEFT JOIN body b ON b.id = e.body_id ORDER BY s.account_id, s.mailbox_id, s.uid").fetchall()
    finally:
        db.close()
    for address, mailbox, uid, prefix, body, segment, offset, size in rows:
        if segment is None:
            raise Damaged(f"{address} {mailbox} uid {uid}: no body")
        number, message = record(store, segment, offset)
        if number != body or len(message) != size:
            raise Damaged(f"{address} {mailbox} uid {uid}: the record at {segment}:{offset} is another's")
        yield address, mailbox, uid, bytes(prefix) + message
