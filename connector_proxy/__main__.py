"""``python -m connector_proxy`` is the same as the command ``connector-proxy``."""

from connector_proxy.cli import main

if __name__ == "__main__":  # the working process imports this module, too
    main()
