"""The naive approach to compare with: Flask's development server, the XML glued together from
strings, a new session for each call, logging off. Written for this comparison."""

from __future__ import annotations

import logging
import sys

import requests
from flask import Flask, jsonify, request

app = Flask(__name__)
logging.getLogger("werkzeug").disabled = True
STPURL = sys.argv[2]


@app.post("/ExecuteSTP")
def execute_stp():  # type: ignore[no-untyped-def]
    payload = request.get_json(force=True)
    name = payload["sendParameters"]["stpName"]
    xml = f"<{name.replace(' ', '')}><streams><instream><Value><Table><InData>"
    for part in payload.values():
        for key, value in part.items():
            xml += f"<{key}>{str(value).replace('&', '&amp;').replace('<', '&lt;')}</{key}>"
    xml += f"</InData></Table></Value></instream></streams></{name.replace(' ', '')}>"
    with requests.Session() as session:
        reply = session.post(
            STPURL.replace("{{stpName}}", name),
            data=xml.encode(),
            headers={"Content-Type": "application/xml"},
            timeout=60,
        )
    return jsonify(status=reply.status_code)


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
