"""The demo model, which answers where no provider is configured.

Public: `DemoTransport`, an HTTP transport inside this process that speaks the wire format of a real provider. May
import `chat.text`.
"""

from chat.providers.demo.transport import DemoTransport

__all__ = ["DemoTransport"]
