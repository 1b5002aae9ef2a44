"""Composition: settings -> adapters -> spine -> connectors -> web. The only room that knows everything."""

from hexi.app.compose import App, Manner, open_app
from hexi.app.services import Service

__all__ = ["App", "Manner", "Service", "open_app"]
