"""moto's S3 as a process of its own, and before it what moto leaves out: presigned URLs are
checked as S3 does, the signature byte for byte as it came and the moment at which it expires.

``python -m tests.s3store`` serves on a free port of loopback and prints it.
"""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import boto3
from botocore.config import Config

KEY, SECRET, REGION, BUCKET = "AKIAEXAMPLE", "example-secret", "eu-west-1", "exports"


class S3Store:
    """Starts it; ``put`` stores a file, ``presign`` makes a URL with boto3."""

    def __enter__(self) -> S3Store:
        command = [sys.executable, "-W", "ignore", "-m", "tests.s3store"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name=REGION,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        self.client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def put(self, name: str, body: bytes, **more: Any) -> None:
        self.client.put_object(Bucket=BUCKET, Key=name, Body=body, **more)

    def presign(self, name: str, seconds: int = 900) -> str:
        place = {"Bucket": BUCKET, "Key": name}
        url: str = self.client.generate_presigned_url("get_object", place, seconds)
        return url


def checked(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """``app`` behind the check of presigned URLs."""

    def door(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path, _, query = environ["RAW_URI"].partition("?")
        fault = _fault(environ["HTTP_HOST"], path, query) if "X-Amz-Signature=" in query else ""
        if not fault:
            return app(environ, start_response)
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{fault}</Error>'.encode()
        start_response("403 Forbidden", [("Content-Type", "application/xml"),
                                         ("Content-Length", str(len(body)))])  # fmt: skip
        return [body]

    return door


def _fault(host: str, path: str, query: str) -> str:
    """What S3 says of a URL that is not valid, in the body of its 403."""
    pairs = dict(pair.split("=", 1) for pair in query.split("&"))
    signature = pairs.pop("X-Amz-Signature")
    signed = "&".join(f"{name}={value}" for name, value in sorted(pairs.items()))
    request = f"GET\n{path}\n{signed}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    stamp = pairs["X-Amz-Date"]
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for word in (*scope.split("/"), to_sign):
        key = hmac.digest(key, word.encode(), "sha256")
    if key.hex() != signature:
        # S3 quotes the whole request here
        return f"<Code>SignatureDoesNotMatch</Code><CanonicalRequest>{escape(signed)}</CanonicalRequest>"
    end = datetime.fromisoformat(stamp) + timedelta(seconds=int(pairs["X-Amz-Expires"]))
    if datetime.now(UTC) > end:
        return "<Code>AccessDenied</Code><Message>Request has expired</Message>"
    return ""


def main() -> None:
    """Serve until the process is ended."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = checked(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
