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

# The sentry under T seconds of random calls from each of three seeds, with each access to memory checked.
soak:
	@tools/deps build test
	@test -d build-soak || meson setup build-soak -Dwatched=true
	ninja -C build-soak coffer-sentry coffer-oci
	COFFER_OCI=$(CURDIR)/build-soak/coffer-oci COFFER_SOAK=$(T) /usr/bin/python3 -m pytest -q tests/kernel/test_attacks.py

bench: all
	tools/deps bench
	tools/bench

stress: all
	COFFER_STRESS=20 ./check

# The whole contract in virtual machines, and real programs, clients and many machines: an hour and more where
# they are emulated.
stress-vm: export COFFER_OCI = $(CURDIR)/$(BUILD)/coffer-oci
stress-vm: export COFFER_PATIENCE ?= 3
stress-vm: all
	tools/deps build test engine conform vmlevel
	export COFFER_VM_DIR=$$(tools/vm-guest) && \
		COFFER_LEVELS=vm /usr/bin/python3 -m pytest -q tests/contract && \
		COFFER_STRESS=2 /usr/bin/python3 -m pytest -q tests/vmlevel tests/conform/test_machines.py && \
		COFFER_STRESS=2 /usr/bin/python3 -m pytest -q -k vm tests/engine/test_services.py

# The same on our own monitor, which takes the kernel that is built here (minutes, once); where /dev/kvm emulates the
# guest's ring 0 it is for patient people.
stress-vmm: all
	tools/deps build test vmlevel
	COFFER_OCI=$(CURDIR)/$(BUILD)/coffer-oci COFFER_VM_DIR=$$(tools/vm-guest --build) COFFER_LEVELS=vm \
		COFFER_CONFIG=$(CURDIR)/tests/vmm/coffer.toml COFFER_VM_START_SECONDS=900 \
		COFFER_PATIENCE=$${COFFER_PATIENCE:-10} /usr/bin/python3 -m pytest -q tests/vmm \
		$(patsubst %,tests/contract/test_%.py,exit exec stdio signals)

install: all
	@meson install -C $(BUILD) --no-rebuild

deb: all
	tools/make-deb $(BUILD)

clean:
	rm -rf build build-asan build-fuzz build-soak

.PHONY: all check asan fuzz soak bench stress stress-vm stress-vmm install deb clean
