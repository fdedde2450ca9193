"""The embedded demo model, which answers where no real one is configured."""

from chat.providers.demo.model import DemoTransport

__all__ = ["DemoTransport"]
