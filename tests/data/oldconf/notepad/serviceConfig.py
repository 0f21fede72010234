class svcConfig:
    """Changed for the test server – back again."""

    host = "127.0.0.10"  # not 0.0.0.0
    port = 8100  # as in the connector
    debug = "False"  # 'True'
