# **********************************************************************#
# Where the service listens                                            #
# **********************************************************************#
class svcConfig:
    # Address
    host = "127.0.0.10"
    # Port
    port = 8100
    # 'True' or 'False'
    debug = "False"
