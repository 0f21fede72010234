@echo off
rem Finds Python and lets install_libraries.py beside this file make .venv there.
rem With /download it fills the folder wheels, for a machine without internet.
setlocal
set "LEAST=import sys; sys.exit(sys.version_info < (3, 11))"
set "PYTHON=py -3"
%PYTHON% -c "%LEAST%" >nul 2>&1
if "%ERRORLEVEL%"=="0" goto found
set "PYTHON=python"
%PYTHON% -c "%LEAST%" >nul 2>&1
if "%ERRORLEVEL%"=="0" goto found

echo ERROR: Python 3.11 or newer was not found.
echo Install the 64-bit Windows installer of Python from python.org for all users, with the
echo launcher "py". Then open a new command prompt and run this file again.
exit /b 1

:found
%PYTHON% "%~dp0install_libraries.py" %*
exit /b %ERRORLEVEL%
