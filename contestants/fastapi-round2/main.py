"""FastAPI as the video's second round has it, repaired by its viewers: asyncpg, aiomcache, orjson.
The two routes of the article are done likewise: Fibonacci numbers on a thread, the external service
over kept connections."""

import contextlib
import os
from typing import Annotated

import httpx
from fastapi import FastAPI, HTTPException, Path, Request
from fastapi.responses import ORJSONResponse, Response

import basics
import published
import storage
from article import fibonacci

EXTERNAL_API_URL = os.environ.get("EXTERNAL_API_URL", "http://127.0.0.1:5001/external")
UPSTREAM_TIMEOUT_S = 10
FIB_MAX = 40


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI):
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=500)
    async with (storage.lifespan(app),
                httpx.AsyncClient(timeout=UPSTREAM_TIMEOUT_S, limits=limits) as app.state.client):
        yield


app = FastAPI(lifespan=lifespan, default_response_class=ORJSONResponse)
app.include_router(basics.router)


@app.get("/api/devices")
async def get_devices():
    return ORJSONResponse(published.devices())


app.include_router(storage.router)  # behind GET, since a 405 names the first route's method


@app.get("/fib/{n}")
def read_fib(n: Annotated[int, Path(ge=0, le=FIB_MAX)]):
    return {"n": n, "fibonacci": fibonacci(n)}


@app.get("/fetch-external")
async def fetch_external(request: Request):
    try:
        response = await request.app.state.client.get(EXTERNAL_API_URL)
        response.raise_for_status()
        response.json()
    except httpx.TimeoutException as error:
        raise HTTPException(504, "the external service did not answer in time") from error
    except (httpx.HTTPError, ValueError) as error:
        raise HTTPException(502, "the external service is not available") from error
    return Response(response.content, media_type="application/json")
