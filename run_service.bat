@echo off
rem Runs the service in this window until Ctrl-C. Options go on to "connector-proxy serve".
setlocal
if not exist "%~dp0.venv\Scripts\python.exe" goto missing
"%~dp0.venv\Scripts\python.exe" -m connector_proxy serve %*
exit /b %ERRORLEVEL%

:missing
echo ERROR: there is no .venv beside this file. Run install_libraries.bat first.
exit /b 1
