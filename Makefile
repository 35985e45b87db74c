# A thin front for Meson and the scripts under tools/ and tests/. HACKING.md explains the targets.
BUILD := build
FUZZ_SECONDS ?= 60

.PHONY: all demo test check unit talk chain crash sim attack soak scoreboard fuzz bench analyze format style sanitize docs clean install

all:
	@tools/install.sh build
	@tools/build.sh $(BUILD) -Dtests=false postern

demo:
	@tools/install.sh demo
	@$(MAKE) --no-print-directory all
	@tools/demo.sh $(BUILD)/postern

# Everything; ends with one line "N passed, N failed".
test:
	@tools/install.sh test
	@tests/run.py

# The fast loop: style and unit tests of the plain build.
check:
	@tests/run.py style unit

unit talk chain crash sim attack style sanitize:
	@tests/run.py $@

soak:
	@tests/run.py soak

# What the harnesses found when they last ran, with what it is worth: docs/SCOREBOARD.md.
scoreboard:
	@tools/scoreboard

fuzz:
	@POSTERN_FUZZ=docs/fuzz.json tools/fuzz.sh $(FUZZ_SECONDS)

# Static analysis with no open findings; some minutes.
analyze:
	@tools/install.sh analyze
	@tools/analyze.py

bench:
	@tools/install.sh bench
	@bench/run.py

format:
	@find src -name '*.[ch]' ! -name 'message.h' ! -name 'message_end.h' ! -name 'stubs.h' | xargs clang-format -i

# docs/rfc from the references in the code; the manual pages and the sample configuration from the tables.
docs: all
	@tools/rfc.py
	@POSTERN=$(BUILD)/postern tools/manual.sh

clean:
	@rm -rf build build-*

install: all
	@meson install -C $(BUILD) >/dev/null
