"""An app of your own that takes events at /events, tells of its orders, and delivers both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException

from destination_router import LogUnavailableError, Router

router = Router.from_config(Path(__file__).with_name("router.toml"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Deliver while the app runs."""
    async with router:
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/events", router.asgi_app())


@app.post("/orders")
async def take_order(order: dict[str, Any]) -> dict[str, str]:
    """Tell the destinations of what happens here."""
    event = {"type": "track", "userId": order.get("customer"), "event": "Order Completed"}
    try:
        await router.append([{**event, "properties": {"total": order.get("total")}}])
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    except LogUnavailableError as error:
        raise HTTPException(503, str(error)) from None
    return {"order": "taken"}


@app.get("/deliveries")
async def deliveries() -> dict[str, dict[str, Any]]:
    """Show how each destination fares."""
    behind = await router.behind()
    return {
        name: {
            "state": stats.state,
            "detail": stats.detail,
            "delivered": stats.delivered,
            "behind": behind[name],
        }
        for name, stats in router.stats().items()
    }
