# -*- coding: cp1252 -*-
class svcConfig(object):
	# nur für den Agenten
	host = "127.0.0.10"
	port = '8100'
	debug = "false"
