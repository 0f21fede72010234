class svcConfig:
    HOST = "127.0.0.10"
    PORT = 8100
    DEBUG = True
