"""connector-proxy: the webhook between SAS Customer Intelligence 360 and stored processes."""

__version__ = "0.1.0"
