"""Runs in a pod: posts one picture to URL again and again, on new connections, and prints who answered or what failed."""

import base64
import os
import time
import urllib.error
import urllib.request

PAUSE_SECONDS = 0.02


def ask() -> str:
    body = base64.b64decode(os.environ["PICTURE"])
    request = urllib.request.Request(os.environ["URL"], body, {"Content-Type": "image/png"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
            return f"{answer.status} {answer.headers['X-Model-Revision']}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read()[:300]!r}"
    except OSError as error:
        return repr(error)


while True:
    print(ask(), flush=True)
    time.sleep(PAUSE_SECONDS)
