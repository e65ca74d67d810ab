"""The two routes of the article: Fibonacci numbers on the event loop, which answers nobody else
meanwhile, and an external service by a new client, so a new connection, for each request."""

import os

import httpx
from fastapi import APIRouter

EXTERNAL_API_URL = os.environ.get("EXTERNAL_API_URL", "http://127.0.0.1:5001/external")

router = APIRouter()


def fibonacci(n: int) -> int:
    if n <= 1:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


@router.get("/fib/{n}")
async def read_fib(n: int):
    return {"n": n, "fibonacci": fibonacci(n)}


@router.get("/fetch-external")
async def fetch_external():
    async with httpx.AsyncClient() as client:
        response = await client.get(EXTERNAL_API_URL)
        response.raise_for_status()
        return response.json()
