"""Prints how dqlite-client shows a row of NULLs."""

import asyncio
import sys

from dqliteclient import connect


async def main():
    connection = await connect(sys.argv[1], database="app")
    for statement in (
        "DROP TABLE IF EXISTS t",
        "CREATE TABLE t (i INTEGER, b BOOLEAN, d DATETIME)",
        "INSERT INTO t VALUES (NULL, NULL, NULL)",
    ):
        await connection.execute(statement)
    print(await connection.fetchall("SELECT i, b, d FROM t"))
    await connection.close()


asyncio.run(main())
