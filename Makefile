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
ALL_LIBS = $(shell $(PKG_CONFIG) --libs $(LIBS)) -lelf -lz -lpcap -ldl

COMMAND_SRC := translator/main.c
LIB_SRC := $(filter-out $(COMMAND_SRC),$(sort $(wildcard translator/*.c translator/*/*.c shim/*.c)))
BPF_SRC := $(sort $(wildcard bpf/*.bpf.c))
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.o)
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)
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

-include $(LIB_OBJ:.o=.d) $(BUILD)/translator/main.d $(UNIT_BIN:=.d) $(TOOL_BIN:=.d)

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libnf2bpf.a
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(BUILD)/libnf2bpf.a $(ALL_LIBS) -lcmocka

$(BUILD)/tests/%: tests/tools/%.c $(BUILD)/libnf2bpf.a
	$(call say,TOOL,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(BUILD)/libnf2bpf.a $(ALL_LIBS)

.PHONY: clean
clean: ## remove what was built
	$(Q)rm -rf $(BUILD) build-san nf2bpf nf2bpfd

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
