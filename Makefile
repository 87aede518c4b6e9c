# SPDX-License-Identifier: GPL-2.0
# One file, no recursion. `make help` lists the targets; V=1 shows the commands.

VERSION := 0.1.0
PREFIX ?= /usr
DESTDIR ?=
BUILD ?= build
CC ?= gcc
BPF_CLANG ?= clang
PKG_CONFIG ?= pkg-config
LIBS := libbpf libnftnl libmnl libiptc libip4tc libip6tc xtables jansson libnftables

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DNF2BPF_VERSION='"$(VERSION)"' $(WARN) -I. -Itranslator \
	$(shell $(PKG_CONFIG) --cflags $(LIBS)) $(SAN) $(CFLAGS)
ALL_LIBS = $(shell $(PKG_CONFIG) --libs $(LIBS)) -lelf -lz -lpcap -ldl -pthread

COMMAND_SRC := translator/main.c
LIB_SRC := $(filter-out $(COMMAND_SRC),$(sort $(wildcard translator/*.c translator/*/*.c shim/*.c)))
FUZZ_BUILD ?= build-fuzz
BPF_SRC := $(sort $(wildcard bpf/*.bpf.c))
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.o)
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(BUILD)/translator/kern/templates.o $(BUILD)/translator/report_page.o
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_NAME := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%)
FUZZ_OBJ := $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/tests/fuzz/replay.o
.SECONDARY: $(FUZZ_OBJ)
REPLAY_BIN := $(FUZZ_NAME:%=$(BUILD)/tests/test_fuzz_%)
FUZZ ?= $(FUZZ_NAME)
TESTLIB_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/lib/*.c)))
.SECONDARY: $(TESTLIB_OBJ)
TOOL_SRC := $(sort $(wildcard tests/tools/*.c))
TOOL_BIN := $(TOOL_SRC:tests/tools/%.c=$(BUILD)/tests/%)

.PHONY: all
all: nf2bpf nf2bpfd ## build nf2bpf and nf2bpfd

nf2bpf: $(BUILD)/translator/main.o $(BUILD)/libnf2bpf.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LIBS)

nf2bpfd: nf2bpf
	$(Q)ln -sf nf2bpf $@

$(BUILD)/libnf2bpf.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The C parts run in the kernel: clang only. The object is embedded in the binary by kern/templates.S.
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPF_CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Wno-unused-function -I. -I/usr/include/$(shell $(CC) -print-multiarch) -c -o $@ $<

$(BUILD)/translator/kern/templates.o: translator/kern/templates.S $(BPF_OBJ)
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -Wa,-I$(BUILD)/bpf -c -o $@ $<

$(BUILD)/translator/report_page.o: translator/report_page.S translator/report.html
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

-include $(LIB_OBJ:.o=.d) $(TESTLIB_OBJ:.o=.d) $(BUILD)/translator/main.d $(UNIT_BIN:=.d) $(TOOL_BIN:=.d) $(REPLAY_BIN:=.d) $(FUZZ_OBJ:.o=.d)

# A fuzz target with a main() that feeds it its corpus.
$(BUILD)/tests/test_fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/tests/fuzz/replay.o $(BUILD)/libnf2bpf.a
	$(call say,REPLAY,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(filter %.o %.a,$^) $(ALL_LIBS) -lcmocka

# The same with libFuzzer's; make fuzz builds all objects with clang for it.
$(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/libnf2bpf.a
	$(call say,FUZZER,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $< $(filter %.o %.a,$^) $(ALL_LIBS) -lcmocka

RAW_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/lib/raw*.c)))
$(BUILD)/tests/test_lower_nft: $(RAW_OBJ)

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libnf2bpf.a
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(filter %.o %.a,$^) $(ALL_LIBS) -lcmocka

$(BUILD)/tests/%: tests/tools/%.c $(TESTLIB_OBJ) $(BUILD)/libnf2bpf.a
	$(call say,TOOL,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests/lib -MMD -MP -MF $@.d -o $@ $< $(TESTLIB_OBJ) $(BUILD)/libnf2bpf.a $(ALL_LIBS)

# What measures (tests/bench).
BENCH_BIN := $(BUILD)/bench/meter $(BUILD)/bench/bench.bpf.o

$(BUILD)/bench/meter: tests/bench/meter.c
	$(call say,BENCH,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(ALL_LIBS)

$(BUILD)/bench/bench.bpf.o: tests/bench/bench.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPF_CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -I/usr/include/$(shell $(CC) -print-multiarch) -c -o $@ $<

.PHONY: clean
clean: ## remove what was built
	$(Q)rm -rf $(BUILD) build-san $(FUZZ_BUILD) nf2bpf nf2bpfd

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- tests ----

.PHONY: depends
depends:
	$(Q)packaging/depends

# Tests see what a user sees: the installed packages, root where the kernel is asked.
.PHONY: check
check: depends ## install what is needed, build, run all tests (as root: also those in namespaces)
	$(Q)$(MAKE) --no-print-directory all unit tools
	$(Q)BUILD=$(BUILD) tests/run $(T)

.PHONY: unit tools
unit: $(UNIT_BIN) $(REPLAY_BIN)
tools: $(TOOL_BIN) $(BENCH_BIN)

.PHONY: check-kernel check-corpus
check-kernel: depends ## random rulesets and packets, netfilter against us (as root; RULESETS=N PACKETS=M SEED=S)
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/kernelcheck
	$(Q)BUILD=$(BUILD) tests/check-kernel.sh
check-corpus: depends ## the same with the rulesets of CORPUS=DIR
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/kernelcheck
	$(Q)BUILD=$(BUILD) tests/check-kernel.sh corpus

.PHONY: check-second
check-second: $(BUILD)/tests/second ## random rulesets and packets, the evaluator against the rules as read (RULESETS=N PACKETS=M SEED=S)
	$(Q)BUILD=$(BUILD) tests/check-second.sh
.PHONY: check-faults
check-faults: depends ## each system call of a load fails, and kill -9 at 200 of them, under traffic (as root; about forty minutes)
	$(Q)$(MAKE) --no-print-directory all tools
	$(Q)FAULT_RUNS=$(or $(KILLS),200) BUILD=$(BUILD) bash tests/e2e/kills.sh
	$(Q)FAULT_ALL=1 BUILD=$(BUILD) bash tests/e2e/hostile.sh
	$(Q)FAULT_ALL=1 BUILD=$(BUILD) bash tests/e2e/toolarge.sh
	$(Q)FAULT_ALL=1 BUILD=$(BUILD) bash tests/e2e/faults.sh
	$(Q)FAULT_ALL=1 BUILD=$(BUILD) bash tests/e2e/takeover_faults.sh

# By default the last one that kept something else between loads.
.PHONY: check-upgrade
check-upgrade: depends ## kill -9 in 200 loads of OLD=COMMIT and of this tree in turn, under traffic, each after the other (as root)
	$(Q)$(MAKE) --no-print-directory all tools
	$(Q)rm -rf $(BUILD)/old && git clone -q . $(BUILD)/old
	$(Q)cd $(BUILD)/old && git checkout -q $(or $(OLD),$$(git log -1 --format=%H -- bpf/abi.h translator/state.c translator/ledger.h)^)
	$(Q)$(MAKE) --no-print-directory -C $(BUILD)/old BUILD=build all
	$(Q)for mode in kills takeover; do FAULT_MODE=$$mode FAULT_OTHER=$(BUILD)/old/nf2bpfd FAULT_RUNS=$(or $(KILLS),100) \
		BUILD=$(BUILD) bash tests/e2e/kills.sh || exit 1; done

.PHONY: check-endurance
check-endurance: depends ## a daemon that follows CHANGES rule changes (100,000): memory, descriptors, maps, links and pins stay flat (as root)
	$(Q)$(MAKE) --no-print-directory all tools
	$(Q)CHANGES=$(or $(CHANGES),100000) BUILD=$(BUILD) bash tests/e2e/endurance.sh

.PHONY: check-flips
check-flips: depends ## FLIPS=10000 changes between two rulesets for each back end under traffic, no packet judged wrong (as root; an hour)
	$(Q)$(MAKE) --no-print-directory all tools
	$(Q)FLIPS=$(or $(FLIPS),10000) SEED=$(or $(SEED),1) BUILD=$(BUILD) bash tests/e2e/flips.sh

.PHONY: check-firewalls
check-firewalls: depends ## ufw, fail2ban, firewalld, docker, those that are installed, with us and without: verdicts and views (as root; ONLY=ufw)
	$(Q)$(MAKE) --no-print-directory all tools
	$(Q)FIREWALLS=1 BUILD=$(BUILD) bash tests/e2e/firewalls.sh

.PHONY: check-mutants
check-mutants: depends ## one wrong line at a time in a copy of the tree: some check must see it (as root; MUTANTS="tcp-* cmp-less")
	$(Q)$(MAKE) --no-print-directory all unit tools
	$(Q)BUILD=$(BUILD) CC="$(CC)" MUTANTS="$(MUTANTS)" tests/mutants.sh

.PHONY: check-san
check-san: ## unit tests with the address and undefined behaviour sanitizers
	$(Q)$(MAKE) --no-print-directory BUILD=build-san SAN="-fsanitize=address,undefined -fno-sanitize-recover=undefined" unit
	$(Q)for t in $(UNIT_SRC:tests/unit/%.c=build-san/tests/%) $(FUZZ_NAME:%=build-san/tests/test_fuzz_%); do \
		echo $$t; LSAN_OPTIONS=suppressions=tests/fuzz/lsan.supp:print_suppressions=0 $$t || exit 1; done

.PHONY: fuzz
fuzz: ## fuzz each target for T seconds (FUZZ="nft ir" for some); needs clang's libFuzzer (Debian: libclang-rt-14-dev)
	$(Q)echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void){return 0;}' | \
		$(BPF_CLANG) -x c -fsanitize=fuzzer,address,undefined -o /dev/null - 2>/dev/null || \
		{ echo "make fuzz needs clang's libFuzzer and sanitizers: apt-get install clang libclang-rt-14-dev"; exit 2; }
	$(Q)$(MAKE) --no-print-directory BUILD=$(FUZZ_BUILD) CC=$(BPF_CLANG) \
		SAN="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined" $(FUZZ:%=$(FUZZ_BUILD)/fuzz/%)
	$(Q)T=$(T) BUILD=$(FUZZ_BUILD) tests/fuzz/run $(FUZZ)

.PHONY: demo
demo: depends ## install what is needed, build, and show the main job in namespaces (as root)
	$(Q)$(MAKE) --no-print-directory all tools
	$(Q)tests/demo.sh

.PHONY: bench
bench: depends ## measure: us, iptables, nft and the limits side by side (as root; QUICK=1 BENCH=targets SYSTEMS= SHAPES= RULES= REPEATS=)
	$(Q)$(MAKE) --no-print-directory all $(BENCH_BIN)
	$(Q)BUILD=$(BUILD) tests/bench/run

.PHONY: layers
layers: ## compare the include lines with ARCHITECTURE.md
	$(Q)tests/layers

.PHONY: format
format: ## clang-format everything
	$(Q)clang-format -i $(shell git ls-files '*.c' '*.h')

# ---- install ----

DROPIN := $(foreach n,iptables ip6tables,$(n)-bpf $(n)-bpf-restore $(n)-bpf-save)

.PHONY: install
install: all ## install under DESTDIR and PREFIX
	install -D -m 755 nf2bpf $(DESTDIR)$(PREFIX)/sbin/nf2bpf
	ln -sf nf2bpf $(DESTDIR)$(PREFIX)/sbin/nf2bpfd
	for n in $(DROPIN); do ln -sf nf2bpf $(DESTDIR)$(PREFIX)/sbin/$$n; done
	install -D -m 755 packaging/alternatives $(DESTDIR)$(PREFIX)/share/nf2bpf/alternatives
	install -D -m 644 docs/iptables-bpf.8 $(DESTDIR)$(PREFIX)/share/man/man8/iptables-bpf.8
	install -D -m 644 docs/nf2bpf.8 $(DESTDIR)$(PREFIX)/share/man/man8/nf2bpf.8
	install -D -m 644 docs/nf2bpfd.8 $(DESTDIR)$(PREFIX)/share/man/man8/nf2bpfd.8
	install -D -m 644 packaging/nf2bpfd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/nf2bpfd.service
	install -D -m 644 README.md $(DESTDIR)$(PREFIX)/share/doc/nf2bpf/README.md
	install -D -m 644 docs/control.md $(DESTDIR)$(PREFIX)/share/doc/nf2bpf/control.md
	install -D -m 644 ARCHITECTURE.md $(DESTDIR)$(PREFIX)/share/doc/nf2bpf/ARCHITECTURE.md
	$(if $(DESTDIR),,packaging/alternatives install $(PREFIX)/sbin)

.PHONY: uninstall-alternatives
uninstall-alternatives: ## take the iptables-bpf commands out of update-alternatives
	packaging/alternatives remove $(PREFIX)/sbin
