# A thin door to Meson: see docs/HACKING.md.
BUILD ?= build
T     ?= 60

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --prefix=/usr --sysconfdir=/etc

check: all
	./check

# The suite under AddressSanitizer and UndefinedBehaviorSanitizer.
asan:
	@test -d build-asan || meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false -Db_pie=false
	ninja -C build-asan
	BUILD=build-asan ./check --sanitized

# Each fuzzer for T seconds under libFuzzer.
fuzz:
	@tools/deps build fuzz
	@test -d build-fuzz || CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false -Db_pie=false
	ninja -C build-fuzz
	tests/fuzz/run build-fuzz $(T)

bench: all
	tools/deps bench
	tools/bench

stress: all
	COFFER_STRESS=20 ./check

# The whole contract in virtual machines: a quarter of an hour and more where they are emulated.
stress-vm: all
	tools/deps build test vmlevel
	COFFER_OCI=$(CURDIR)/$(BUILD)/coffer-oci COFFER_VM_DIR=$$(tools/vm-guest) COFFER_LEVELS=vm \
		COFFER_PATIENCE=$${COFFER_PATIENCE:-3} /usr/bin/python3 -m pytest -q tests/contract tests/vmlevel

install: all
	@meson install -C $(BUILD) --no-rebuild

deb: all
	tools/make-deb $(BUILD)

clean:
	rm -rf build build-asan build-fuzz

.PHONY: all check asan fuzz bench stress stress-vm install deb clean
