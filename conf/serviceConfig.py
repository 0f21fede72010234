class svcConfig:
    # Address to listen on. The agent of the general access point calls http://host:port/ExecuteSTP
    host = "127.0.0.10"
    # Port to listen on; 0: a free one.
    port = 8100
    # True: loglevel is DEBUG.
    debug = False
