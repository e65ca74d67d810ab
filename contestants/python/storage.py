"""POST /api/devices as the second round has it: asyncpg, aiomcache, orjson; the connection to
PostgreSQL is held until the cache has answered."""

import contextlib
import datetime
import logging
import os
import time
import uuid

import aiomcache
import asyncpg
import orjson
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel

from published import INSERT, SET

POSTGRES_URI = os.environ.get("POSTGRES_URI", "postgresql://localhost/mydb")
POOL_SIZE = int(os.environ.get("POSTGRES_POOL_SIZE", 500)) // int(os.environ.get("WORKERS", 4))
MEMCACHED = os.environ.get("MEMCACHED_HOST", "127.0.0.1:11211")
EXPIRY_S = 20

# The casts let the statement fit the table of either round: varchar and timestamp, or uuid and
# timestamptz.
INSERT_DEVICE = """
    INSERT INTO device (uuid, mac, firmware, created_at, updated_at)
    VALUES ($1::uuid, $2, $3, $4::timestamptz, $5::timestamptz) RETURNING id"""

log = logging.getLogger("uvicorn.error")
router = APIRouter()


class DeviceRequest(BaseModel):
    mac: str
    firmware: str


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI):
    host, _, port = MEMCACHED.rpartition(":")
    app.state.cache = aiomcache.Client(host, int(port), pool_size=500)
    async with asyncpg.create_pool(POSTGRES_URI, min_size=min(10, POOL_SIZE), max_size=POOL_SIZE,
                                   max_inactive_connection_lifetime=300) as app.state.pool:
        yield
    await app.state.cache.close()


async def insert(connection, device_uuid, device, now):
    start = time.perf_counter()
    row_id = await connection.fetchval(INSERT_DEVICE, device_uuid, device.mac, device.firmware,
                                       now, now)
    INSERT.observe(time.perf_counter() - start)
    return row_id


async def cache_set(cache, device_uuid, value):
    start = time.perf_counter()
    await cache.set(device_uuid.hex.encode(), value, exptime=EXPIRY_S)
    SET.observe(time.perf_counter() - start)


async def create(state, device):
    device_uuid = uuid.uuid4()
    now = datetime.datetime.now(datetime.timezone.utc)
    async with state.pool.acquire() as connection:
        row_id = await insert(connection, device_uuid, device, now)
        value = orjson.dumps({"id": row_id, "uuid": str(device_uuid), "mac": device.mac,
                              "firmware": device.firmware, "created_at": now, "updated_at": now})
        await cache_set(state.cache, device_uuid, value)
    return value


@router.post("/api/devices")
async def create_device(device: DeviceRequest, request: Request):
    try:
        value = await create(request.app.state, device)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.error("insert: %s", error)
        raise HTTPException(500, "Database error occurred while creating device") from error
    except (aiomcache.ClientException, OSError) as error:
        log.error("insert or set: %s", error)
        raise HTTPException(500, "Database or cache is not available") from error
    return Response(value, status_code=201, media_type="application/json")
