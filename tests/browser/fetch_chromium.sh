#!/bin/sh
# Fetches the browser of the tests where there is none: of the distribution as root, else Playwright's.
set -eu
command -v chromium > /dev/null && exit
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core > /dev/null
else
    "$1" -m playwright install chromium
fi
