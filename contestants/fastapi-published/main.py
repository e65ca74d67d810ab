"""FastAPI as the video's first version has it: SQLModel on synchronous psycopg within an async
handler, so that a worker does nothing else while it waits for the database."""

import datetime
import os
import time
import uuid

from fastapi import FastAPI
from pymemcache.client.base import Client
from sqlmodel import Field, Session, SQLModel, create_engine

import article
import basics
import published
from published import INSERT, SET

POSTGRES_URI = os.environ.get("POSTGRES_URI", "postgresql://localhost/mydb")
EXPIRY_S = 20

# Both belong to a worker: a pool of the published size each, and a single connection to memcached,
# whose sets do not wait for an answer (pymemcache's default).
engine = create_engine(POSTGRES_URI.replace("postgresql:", "postgresql+psycopg:", 1),
                       pool_size=int(os.environ.get("POSTGRES_POOL_SIZE", 500)))
cache = Client(os.environ.get("MEMCACHED_HOST", "127.0.0.1:11211"))

app = FastAPI()
app.include_router(basics.router)
app.include_router(article.router)


class Device(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    uuid: str | None = None
    mac: str
    firmware: str
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None


@app.get("/api/devices")
async def get_devices():
    return published.devices()


@app.post("/api/devices", status_code=201)
async def create_device(device: Device):
    now = datetime.datetime.now(datetime.timezone.utc)
    device.uuid = str(uuid.uuid4())
    device.created_at = device.updated_at = now
    with Session(engine) as session:
        start = time.time()
        session.add(device)
        session.commit()
        INSERT.observe(time.time() - start)

        start = time.time()
        # The commit has expired the attributes: reading them selects the row.
        value = {"id": device.id, "uuid": device.uuid, "mac": device.mac,
                 "firmware": device.firmware,
                 "created_at": device.created_at, "updated_at": device.updated_at}
        cache.set(device.uuid, value, expire=EXPIRY_S)
        SET.observe(time.time() - start)

        session.refresh(device)
    return device
