# Two commands for a newcomer: make demo, make test. Windows: install_libraries.bat (README).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROWS ?= 1000
SAS ?= embedded
KILLS ?= 200
FAULTS ?= 150
MB ?= 200
ifeq ($(filter $(SAS),embedded emulated),)
$(error SAS is $(SAS); write SAS=emulated, or leave it out)
endif

.PHONY: install demo test test-browser test-azure run lint lint-sas types bench soak mutate download fresh clean

install: $(VENV)/installed

$(VENV)/installed: requirements.txt pyproject.toml install_libraries.py
	$(PYTHON) install_libraries.py
	@touch $@

$(VENV)/installed-test: $(VENV)/installed requirements-test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@

demo: install
	$(BIN)/connector-proxy demo --rows $(ROWS) $(if $(filter emulated,$(SAS)),--emulated) $(if $(LOOP),--loop)

run: install
	$(BIN)/connector-proxy serve

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto

test-browser: $(VENV)/installed-browser
	tests/browser/fetch_chromium.sh $(BIN)/python
	$(BIN)/python -m pytest tests/browser

$(VENV)/installed-browser: $(VENV)/installed-test requirements-browser.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-browser.txt
	@touch $@

test-azure: $(VENV)/installed-azure build/azure/installed
	AZURITE=build/azure/node_modules/azurite/dist/src/blob/main.js \
		$(BIN)/python -m pytest tests/azure

$(VENV)/installed-azure: $(VENV)/installed-test requirements-azure.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-azure.txt
	@touch $@

build/azure/installed: tests/azure/package.json tests/azure/package-lock.json
	mkdir -p build/azure
	cp $^ build/azure
	cd build/azure && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-sas: build/sasjslint/installed
	NODE_PATH=build/sasjslint/node_modules node tests/sasjslint/lint.js \
		stored_process/code/*.sas stored_process/conf/*.sas

build/sasjslint/installed: tests/sasjslint/package.json tests/sasjslint/package-lock.json
	mkdir -p build/sasjslint
	cp $^ build/sasjslint
	cd build/sasjslint && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

types: $(VENV)/installed-test
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 connector_proxy

soak: $(VENV)/installed-test
	$(BIN)/python -m tests.soak --kills $(KILLS)

fresh: $(VENV)/installed-test
	$(BIN)/python -m tests.fresh

download: $(VENV)/installed-test
	DOWNLOAD_MB=$(MB) $(BIN)/python -m pytest tests/test_download_killed.py

mutate: $(VENV)/installed-test
	$(BIN)/python -m tests.mutate --faults $(FAULTS)

bench: $(VENV)/installed-test
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/files.py --rows 1000000 10000000
	$(BIN)/python benchmarks/uploads.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
