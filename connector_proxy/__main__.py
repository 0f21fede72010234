"""``python -m connector_proxy`` is the same as the command ``connector-proxy``."""

from connector_proxy.cli import main

main()
