"""The routes that are the same in every FastAPI contestant."""

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

import published

router = APIRouter()


@router.get("/healthz")
async def health():
    return PlainTextResponse("OK")


@router.get("/metrics")
async def metrics():
    return Response(published.metrics(), media_type=published.METRICS_TYPE)


@router.get("/json")
async def hello_json():
    return {"message": "Hello, World!"}


@router.get("/plaintext")
async def hello_text():
    return PlainTextResponse("Hello, World!")
