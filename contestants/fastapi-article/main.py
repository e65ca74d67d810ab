"""FastAPI as the article has it. What the article lacks, the devices, is done as in the second
round of the video."""

from fastapi import FastAPI

import article
import basics
import published
import storage

app = FastAPI(lifespan=storage.lifespan)
app.include_router(basics.router)
app.include_router(article.router)


@app.get("/api/devices")
async def get_devices():
    return published.devices()


app.include_router(storage.router)  # behind GET, since a 405 names the first route's method
