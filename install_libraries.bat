@echo off
rem Makes .venv beside this file and installs connector-proxy into it.
rem Works from any folder, with blanks and network paths, and without anybody watching.
setlocal
pushd "%~dp0" || (echo ERROR: cannot change to the folder of this file. & exit /b 1)

set "PY="
py -3 -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>&1 && set "PY=py -3"
if not defined PY python -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>&1 && set "PY=python"
if not defined PY (
  echo ERROR: Python 3.11 or newer was not found.
  echo Install it from python.org, with the launcher "py", and run this file again.
  popd
  exit /b 1
)

if not exist ".venv\Scripts\python.exe" %PY% -m venv .venv || goto failed
".venv\Scripts\python.exe" -m pip install --quiet --disable-pip-version-check -r requirements.txt || goto failed
".venv\Scripts\python.exe" -m pip install --quiet --disable-pip-version-check --no-deps -e . || goto failed
".venv\Scripts\connector-proxy.exe" --version || goto failed

echo OK: installed. Try it:  .venv\Scripts\connector-proxy demo
popd
exit /b 0

:failed
echo ERROR: the installation stopped; the lines above say why.
popd
exit /b 1
