# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The whole build of cpubalance: one make file, GNU make, everything below $(BUILD).
# `make help` lists the targets. Set CC, CFLAGS, LDFLAGS, prefix, DESTDIR, BUILD as you like; what the
# project itself needs is in the CB_ variables and stays. V=1 shows commands, WERROR=1 forbids warnings.

VERSION := 0.1.0

BUILD ?= build
prefix ?= /usr/local
bindir ?= $(prefix)/bin
sbindir ?= $(prefix)/sbin
libexecdir ?= $(prefix)/libexec/cpubalance
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
sysconfdir ?= /etc
systemdsystemunitdir ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
# The message bus reads /usr/local/share only in some of its builds, /usr/share and /etc in all.
dbuspolicydir ?= $(if $(filter /usr,$(prefix)),/usr/share,$(sysconfdir))/dbus-1/system.d
runstatedir ?= /run
localstatedir ?= /var

ifeq ($(origin CC),default)
CC := gcc
endif
CPPFLAGS ?= -D_FORTIFY_SOURCE=2
CFLAGS ?= -O2 -g
LDFLAGS ?=
CLANG ?= clang
PKG_CONFIG ?= pkg-config
INSTALL ?= install
FUZZ_SECONDS ?= 30
SOAK_SECONDS ?= 1800
# Where test servers are unpacked; the variants of a build share one.
CB_PRIVATE ?= $(abspath $(BUILD))/private
export CB_PRIVATE

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)';)
# Runs $(1) once, when its value is first needed: help and deps work where nothing is installed yet.
once = $(if $(filter undefined,$(origin once_$(1))),$(eval once_$(1) := $(shell $(2))))$(once_$(1))
cflags_of = $(call once,cflags_$(1),$(PKG_CONFIG) --cflags $(1))
libs_of = $(call once,libs_$(1),$(PKG_CONFIG) --libs $(1))
# Under sudo, what is made in a user's clone is made as the clone's owner (see the tool).
AS_OWNER = $(call once,as_owner,tools/owner prefix $(BUILD))
KEEP_OWNER := tools/owner keep $(BUILD) --

CB_WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes \
	-Wformat=2 -Wswitch-enum -Werror=implicit $(if $(WERROR),-Werror)
CB_CPPFLAGS := -D_GNU_SOURCE -Iinclude -DCB_VERSION='"$(VERSION)"'
CB_CFLAGS := -std=gnu17 -ffp-contract=off -fstack-protector-strong $(CB_WARNINGS)
CB_LDFLAGS := -Wl,--as-needed -Wl,-z,relro,-z,now

# --- sources ----------------------------------------------------------------------------------------
PKGS_LIB := libnl-3.0 libnl-genl-3.0 json-c
PKGS_ALL := $(PKGS_LIB) libsystemd inih

pure_src := $(sort $(wildcard lib/core/*.c lib/sources/*.c lib/knobs/*.c))
lib_src := $(pure_src) $(sort $(wildcard lib/host/*.c))
daemon_src := $(sort $(wildcard daemon/*.c))
ctl_src := $(sort $(wildcard ctl/*.c))
metrics_src := $(sort $(wildcard metrics/*.c))
gauge_src := $(sort $(wildcard gauge/*.c))
# The simulator is a library too: its own test and the fuzzer of its parser link it.
testlib_src := $(sort $(wildcard tests/testlib/*.c) \
	$(filter-out tests/sim/sim_main.c tests/sim/test_%.c,$(wildcard tests/sim/*.c)))
test_src := $(sort $(wildcard tests/unit/test_*.c tests/sim/test_*.c tests/bus/test_*.c tests/system/test_*.c))
fuzz_src := $(sort $(wildcard tests/fuzz/fuzz_*.c))
bench_src := $(sort $(wildcard tests/bench/bench_*.c))
bench_scripts := $(sort $(wildcard tests/bench/bench_*.sh))
toollib_src := $(addprefix tests/tools/,tool.c genfs.c giant_files.c giant_model.c)
tool_src := $(filter-out $(toollib_src),$(sort $(wildcard tests/tools/*.c)))
all_src := $(lib_src) $(daemon_src) $(ctl_src) $(metrics_src) $(gauge_src) $(testlib_src) $(test_src) $(fuzz_src) $(bench_src) \
	$(wildcard tests/tools/*.c) tests/fuzz/replay.c tests/sim/sim_main.c
headers := $(sort $(wildcard include/cpubalance/*.h $(addsuffix /*.h,$(sort $(dir $(all_src))))))
scripts := $(filter-out %.txt %.supp,$(sort $(wildcard tools/* .ci/run completions/*.bash tests/*/*.sh tests/*/*.bash \
	packaging/debian/*.prerm packaging/debian/*.postrm)))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
prog = $(patsubst %.c,$(BUILD)/%,$(1))
LIB := $(BUILD)/libcpubalance.a
DAEMONLIB := $(BUILD)/libcpubalanced.a
CTLLIB := $(BUILD)/libcpubalctl.a
TESTLIB := $(BUILD)/libtest.a
TOOLLIB := $(BUILD)/libtools.a
METRICSLIB := $(BUILD)/libcpubalancemetrics.a
PROGRAMS := $(BUILD)/cpubalanced $(BUILD)/cpubalctl $(BUILD)/cpubalanced-metrics $(BUILD)/cpubalanced-gauge
tests := $(call prog,$(test_src))
tools := $(call prog,$(tool_src))
fuzzers := $(call prog,$(fuzz_src))
benches := $(call prog,$(bench_src))
SIM := $(BUILD)/tests/sim/sim
libfuzzers := $(patsubst tests/fuzz/%.c,$(BUILD)/libfuzzer/%,$(fuzz_src))
kind = $(sort $(filter $(BUILD)/tests/$(1)/%,$(tests)) $(wildcard tests/$(1)/test_*.sh))

# --- build ------------------------------------------------------------------------------------------
.PHONY: all
all: $(PROGRAMS) ## build the programs (the default)

# Targets that do their own set-up; `make` alone never installs anything.
need_deps := $(filter check check-% deb demo run sim bench bench-% fuzz soak coverage lint analyze,$(MAKECMDGOALS))
first := $(if $(need_deps),$(if $(CB_DEPS_DONE),,deps))
submake = +$(MAKE) --no-print-directory CB_DEPS_DONE=1
flags_now = $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(subst ','"'"',$(CB_CPPFLAGS) $(CB_CFLAGS)) $(CB_LDFLAGS)

$(BUILD)/flags: FORCE | $(first)
	@$(AS_OWNER) mkdir -p $(BUILD)
	@echo '$(flags_now)' | cmp -s - $@ || echo '$(flags_now)' | $(AS_OWNER) tee $@ >/dev/null

$(BUILD)/obj/%.o: %.c $(BUILD)/flags | $(first)
	@$(AS_OWNER) mkdir -p $(@D)
	$(call say,CC,$<)$(AS_OWNER) $(CC) $(CB_CPPFLAGS) $(foreach p,$(PKGS_ALL),$(call cflags_of,$(p))) \
		$(CPPFLAGS) $(CB_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/tests/%.o: private CB_CPPFLAGS += -Itests/testlib -Itests/sim -I.

$(LIB): $(call obj,$(lib_src))
$(DAEMONLIB): $(call obj,$(filter-out daemon/main.c,$(daemon_src)))
$(CTLLIB): $(call obj,$(filter-out ctl/main.c,$(ctl_src)))
$(METRICSLIB): $(call obj,$(filter-out metrics/main.c,$(metrics_src)))
$(TESTLIB): $(call obj,$(testlib_src))
$(TOOLLIB): $(call obj,$(toollib_src))
$(LIB) $(DAEMONLIB) $(CTLLIB) $(METRICSLIB) $(TESTLIB) $(TOOLLIB):
	@$(AS_OWNER) rm -f $@
	$(call say,AR,$@)$(AS_OWNER) $(AR) rcs $@ $^

link = $(call say,LD,$@)$(AS_OWNER) mkdir -p $(@D) && $(AS_OWNER) $(CC) $(CB_LDFLAGS) $(CFLAGS) $(LDFLAGS) \
	-o $@ $(filter %.o %.a,$^) $(foreach p,$(LINK_PKGS),$(call libs_of,$(p))) -lm
$(BUILD)/cpubalanced $(BUILD)/cpubalctl: LINK_PKGS = $(PKGS_ALL)
$(BUILD)/cpubalanced-metrics: LINK_PKGS = libsystemd libmicrohttpd
$(BUILD)/cpubalanced-gauge: LINK_PKGS = libsystemd
$(BUILD)/cpubalanced: $(call obj,daemon/main.c) $(DAEMONLIB) $(LIB)
	$(link)
$(BUILD)/cpubalctl: $(call obj,ctl/main.c) $(CTLLIB) $(LIB)
	$(link)
$(BUILD)/cpubalanced-metrics: $(call obj,metrics/main.c) $(METRICSLIB)
	$(link)
$(BUILD)/cpubalanced-gauge: $(call obj,$(gauge_src)) $(LIB)
	$(link)

test_libs := $(TESTLIB) $(DAEMONLIB) $(CTLLIB) $(METRICSLIB) $(LIB)
$(tests) $(benches): LINK_PKGS = cmocka $(PKGS_ALL)
$(fuzzers) $(libfuzzers): LINK_PKGS = $(PKGS_ALL)
$(tests) $(benches): $(BUILD)/%: $(BUILD)/obj/%.o $(test_libs)
	$(link)
$(SIM): LINK_PKGS = $(PKGS_ALL)
$(SIM): $(call obj,tests/sim/sim_main.c) $(test_libs)
	$(link)
$(tools): $(BUILD)/%: $(BUILD)/obj/%.o $(TOOLLIB)
	$(link)
$(fuzzers): $(BUILD)/%: $(BUILD)/obj/%.o $(call obj,tests/fuzz/replay.c) $(test_libs)
	$(link)
$(libfuzzers): $(BUILD)/libfuzzer/%: $(BUILD)/obj/tests/fuzz/%.o $(test_libs)
	$(link) -fsanitize=fuzzer

.PHONY: build-tests
build-tests: all $(tests) $(SIM) $(tools) $(fuzzers) $(benches) ## build everything that `check` and `bench` run

# A daemon that dies where CB_FAULT says (lib/host/fault.h), for the crash tests alone: never shipped, never installed.
.PHONY: faulty
faulty: $(first) $(BUILD)/flags
	$(submake) BUILD=$(BUILD)/faulty CPPFLAGS='$(CPPFLAGS) -DCB_FAULT_POINTS' $(BUILD)/faulty/cpubalanced \
		$(BUILD)/faulty/tests/system/test_crash $(BUILD)/faulty/tests/system/test_crash_bans

# --- set-up -----------------------------------------------------------------------------------------
.PHONY: deps
deps: ## test each need; as root on Debian or Ubuntu install what is missing
	@BUILD=$(BUILD) tools/deps build test $(foreach g,$(need_deps),$(deps_$(g)))
deps_lint := lint
deps_deb := deb
deps_check-packages := deb packages
deps_analyze := lint
deps_fuzz := fuzz
deps_coverage := coverage
deps_check-valgrind := valgrind
deps_bench := bench

# --- tests ------------------------------------------------------------------------------------------
run_tests = $(KEEP_OWNER) env BUILD=$(BUILD) CC='$(CC)' tools/run-tests
pure_objects := $(call obj,$(pure_src))

.PHONY: check check-packets check-quick check-unit check-asan check-valgrind check-layers check-docs
check: deps build-tests faulty ## unit, simulator, fuzz corpus, layers, documents, bus and system tests
	@$(run_tests) $(call kind,unit) $(call kind,sim) $(fuzzers) tools/check-layers tools/check-docs \
		$(call kind,bus) $(call kind,system)

check-packets: deps build-tests ## what packet steering is worth under load (root, a machine with nothing else to do)
	@CB_EFFECTS=1 $(run_tests) tests/system/test_packets.sh

check-unit: $(first) build-tests ## the unit tests alone
	@$(run_tests) $(call kind,unit)

check-quick: $(first) build-tests ## what check-asan runs: unit tests, fuzz corpus, bus tests
	@$(run_tests) $(call kind,unit) $(fuzzers) $(call kind,bus)

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined
check-asan: deps ## check-quick under ASan and UBSan
	@$(submake) BUILD=$(BUILD)/asan CPPFLAGS= LDFLAGS='$(SANITIZE)' \
		CFLAGS='-O1 -g -fno-omit-frame-pointer $(SANITIZE)' check-quick

check-valgrind: deps build-tests ## the unit tests under valgrind
	@WRAP='valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect,possible' \
		$(run_tests) $(call kind,unit)

check-layers: $(first) build-tests ## who may include, call and name what; purity; sizes
	@BUILD=$(BUILD) CC='$(CC)' tools/check-layers

check-docs: $(first) all ## every option, metric and verb has its line in the documents
	@BUILD=$(BUILD) tools/check-docs

# Their packages are theirs to ask for: where one is missing the whole test is skipped, and says so.
.PHONY: check-booted check-vm check-packages
check-booted: $(first) build-tests ## the service under systemd, in a container (root, Debian)
	@TIMEOUT=600 $(run_tests) tests/rig/test_booted.sh

check-vm: $(first) build-tests ## 16 emulated CPUs on the kernels 6.1 and 6.12 (root, Debian)
	@TIMEOUT=3000 $(run_tests) tests/rig/test_vm.sh

check-packages: $(first) build-tests deb ## make deb, lintian, rpmlint, and the life of the package in a container (root, Debian)
	@TIMEOUT=600 $(run_tests) tests/packages/test_packages.sh tests/rig/test_deb.sh

coverage: deps ## line coverage of check-quick, in $(BUILD)/coverage
	@$(submake) BUILD=$(BUILD)/coverage CPPFLAGS= CFLAGS='-O0 -g --coverage' \
		LDFLAGS=--coverage check-quick
	@$(AS_OWNER) gcovr --root . --object-directory $(BUILD)/coverage --filter lib/ --filter daemon/ --filter ctl/ \
		--html-details $(BUILD)/coverage/index.html --txt $(BUILD)/coverage/summary.txt --print-summary

FUZZ_SANITIZE := -fsanitize=address,undefined
fuzz: deps ## libFuzzer with clang, FUZZ_SECONDS=30 for each target
	@$(submake) BUILD=$(BUILD)/fuzz CC='$(CLANG)' CPPFLAGS= LDFLAGS='$(FUZZ_SANITIZE)' \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link $(FUZZ_SANITIZE)' fuzz-run
.PHONY: coverage fuzz fuzz-run
fuzz-run: $(libfuzzers)
	@$(KEEP_OWNER) env BUILD=$(BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) tools/run-fuzzers $(libfuzzers)

# --- to see it work ---------------------------------------------------------------------------------
SEEDS ?= 1
.PHONY: demo run sim bench bench-planner bench-verdicts soak
with_env = $(KEEP_OWNER) env BUILD=$(BUILD) CB_BUILD=$(abspath $(BUILD)) CB_SRC=$(CURDIR) \
	PATH="$(CB_PRIVATE)/bin:$$PATH"
demo: deps all $(tools) ## a hot core found, mended and proved, on real workers (root, two minutes)
	@$(with_env) tests/demo/demo.sh

run: deps all ## cpubalanced in the foreground on a private bus, nothing installed
	@$(with_env) tools/run-private

sim: $(first) $(SIM) ## every scenario in virtual time, or those of SCENARIOS=...; SEEDS=20, SIM_ARGS=--compare|--trace|--json|...
	@$(KEEP_OWNER) $(SIM) --seeds $(SEEDS) $(SIM_ARGS) $(SCENARIOS)

bench: deps build-tests ## what a tick, a parser, a scrape and a plan cost, beside others, against bars; DIR=... of captures
	@$(with_env) CB_CORPUS='$(DIR)' tools/run-benches $(benches) $(bench_scripts)

bench-effect: deps build-tests ## what the balancer is worth, against what one has without it (root; CB_EFFECT_ROUNDS=3)
	@$(with_env) tests/bench/effect.sh

bench-planner: $(first) $(BUILD)/tests/bench/bench_planner ## the planner on the instances of DIR=..., else on a set of its own; NOISE=sigma
	@$(KEEP_OWNER) $(BUILD)/tests/bench/bench_planner $(if $(NOISE),--noise $(NOISE)) $(DIR)

bench-verdicts: $(first) $(BUILD)/tests/unit/test_verdicts ## how often a move without effect is kept, and one of +-10 %: 500 lives each
	@$(BUILD)/tests/unit/test_verdicts --table

soak: deps build-tests ## SOAK_SECONDS=1800 of steady balanced load: no move at all (root)
	@$(with_env) SOAK_SECONDS=$(SOAK_SECONDS) tests/soak/soak.sh

# --- quality ----------------------------------------------------------------------------------------
.PHONY: lint format format-check analyze docs
lint: deps ## gcc and clang with -Werror, cppcheck, mandoc, xmllint, shellcheck
	@$(submake) BUILD=$(BUILD)/lint-gcc CC=gcc WERROR=1 build-tests
	@$(submake) BUILD=$(BUILD)/lint-clang CC='$(CLANG)' WERROR=1 build-tests
	$(call say,LINT,cppcheck)cppcheck --quiet --std=c11 --language=c --error-exitcode=1 --inline-suppr \
		--enable=warning,portability,performance -j2 -D_GNU_SOURCE -D__linux__ -DCB_VERSION='""' -Iinclude \
		--suppressions-list=tools/cppcheck.supp $(lib_src) $(daemon_src) $(ctl_src) $(metrics_src) $(gauge_src)
	$(call say,LINT,mandoc)mandoc -Tlint -W warning $(mans)
	$(call say,LINT,xmllint)xmllint --noout --nonet --dtdvalid /usr/share/polkit-1/policyconfig-1.dtd units/$(ACTIONS) && \
		xmllint --noout --nonet units/$(POLICY)
	$(call say,LINT,shellcheck)shellcheck -x -e SC2016,SC2317 $(scripts)

analyze: deps ## the clang static analyzer
	@+$(AS_OWNER) scan-build --status-bugs -o $(BUILD)/analyze --use-cc='$(CLANG)' \
		$(MAKE) --no-print-directory BUILD=$(BUILD)/analyze-obj build-tests

format: ## clang-format every source
	$(call say,FORMAT,)clang-format -i $(all_src) $(headers)
format-check: ## say which sources clang-format would change
	$(call say,LINT,clang-format)clang-format --dry-run -Werror $(wildcard $(all_src)) $(headers)

docs: all ## write docs/METRICS.md anew from metrics.def
	$(call say,GEN,docs/METRICS.md)$(AS_OWNER) sh -c '$(BUILD)/cpubalanced --print-metrics-doc >$(BUILD)/METRICS.md && \
		cp $(BUILD)/METRICS.md docs/METRICS.md'

# --- packages ---------------------------------------------------------------------------------------
ARCHIVE := $(BUILD)/cpubalance-$(VERSION).tar.gz
.PHONY: dist deb
dist: ## the sources as an archive, $(BUILD)/cpubalance-VERSION.tar.gz
	$(call say,DIST,$(ARCHIVE))$(AS_OWNER) mkdir -p $(BUILD) && \
		$(AS_OWNER) tools/dist cpubalance-$(VERSION) $(ARCHIVE)

deb: deps dist ## the Debian packages, in $(BUILD)/deb
	$(call say,DEB,$(BUILD)/deb)$(AS_OWNER) tools/deb $(ARCHIVE) $(VERSION) $(BUILD)/deb
	@ls $(BUILD)/deb/*.deb

# --- install ----------------------------------------------------------------------------------------
mans := $(sort $(wildcard docs/man/*.[158]))
man_dest = $(mandir)/man$(subst .,,$(suffix $(1)))/$(notdir $(1))
UNIT := cpubalanced.service
METRICS_UNIT := cpubalanced-metrics.service
METRICS_SOCKET := cpubalanced-metrics.socket
GAUGE_UNIT := cpubalanced-gauge.service
GAUGE_SOCKET := cpubalanced-gauge.socket
POLICY := org.cpubalance1.conf
ACTIONS := org.cpubalance1.policy
USERS := $(sysusersdir)/cpubalance.conf
bashcompletiondir ?= $(datadir)/bash-completion/completions
zshcompletiondir ?= $(datadir)/zsh/$(if $(filter /usr,$(prefix)),vendor-completions,site-functions)
# polkit reads /usr/share alone, whatever the prefix.
polkitactionsdir ?= /usr/share/polkit-1/actions
# The daemon looks in /etc by itself.
config_arg = $(if $(filter-out /etc,$(sysconfdir)), --config $(sysconfdir)/cpubalanced/cpubalanced.conf)

$(BUILD)/%.service: units/%.service.in Makefile
	$(call say,GEN,$@)$(AS_OWNER) mkdir -p $(@D) && $(AS_OWNER) sed -e 's|@sbindir@|$(sbindir)|g' \
		-e 's|@libexecdir@|$(libexecdir)|g' -e 's|@config@|$(config_arg)|' $< | $(AS_OWNER) tee $@ >/dev/null

.PHONY: install uninstall clean help FORCE
install: all $(BUILD)/$(UNIT) $(BUILD)/$(METRICS_UNIT) $(BUILD)/$(GAUGE_UNIT) ## below $(DESTDIR)$(prefix); an existing configuration is kept
	$(INSTALL) -D -m 0755 $(BUILD)/cpubalanced $(DESTDIR)$(sbindir)/cpubalanced
	$(INSTALL) -D -m 0755 $(BUILD)/cpubalctl $(DESTDIR)$(bindir)/cpubalctl
	$(INSTALL) -D -m 0644 $(BUILD)/$(UNIT) $(DESTDIR)$(systemdsystemunitdir)/$(UNIT)
	$(INSTALL) -D -m 0755 $(BUILD)/cpubalanced-metrics $(DESTDIR)$(libexecdir)/cpubalanced-metrics
	$(INSTALL) -D -m 0644 $(BUILD)/$(METRICS_UNIT) $(DESTDIR)$(systemdsystemunitdir)/$(METRICS_UNIT)
	$(INSTALL) -D -m 0644 units/$(METRICS_SOCKET) $(DESTDIR)$(systemdsystemunitdir)/$(METRICS_SOCKET)
	$(INSTALL) -D -m 0644 units/steering.conf $(DESTDIR)$(datadir)/cpubalance/steering.conf
	$(INSTALL) -D -m 0644 docs/monitoring/alerts.yml $(DESTDIR)$(datadir)/cpubalance/alerts.yml
	$(INSTALL) -D -m 0644 docs/monitoring/dashboard.json $(DESTDIR)$(datadir)/cpubalance/dashboard.json
	$(INSTALL) -D -m 0755 $(BUILD)/cpubalanced-gauge $(DESTDIR)$(libexecdir)/cpubalanced-gauge
	$(INSTALL) -D -m 0644 $(BUILD)/$(GAUGE_UNIT) $(DESTDIR)$(systemdsystemunitdir)/$(GAUGE_UNIT)
	$(INSTALL) -D -m 0644 units/$(GAUGE_SOCKET) $(DESTDIR)$(systemdsystemunitdir)/$(GAUGE_SOCKET)
	$(INSTALL) -D -m 0644 units/$(POLICY) $(DESTDIR)$(dbuspolicydir)/$(POLICY)
	$(INSTALL) -D -m 0644 units/$(ACTIONS) $(DESTDIR)$(polkitactionsdir)/$(ACTIONS)
	$(INSTALL) -D -m 0644 units/cpubalance.sysusers $(DESTDIR)$(USERS)
	$(INSTALL) -D -m 0644 completions/cpubalctl.bash $(DESTDIR)$(bashcompletiondir)/cpubalctl
	$(INSTALL) -D -m 0644 completions/_cpubalctl $(DESTDIR)$(zshcompletiondir)/_cpubalctl
	$(foreach m,$(mans),$(INSTALL) -D -m 0644 $(m) $(DESTDIR)$(call man_dest,$(m)) &&) true
	$(INSTALL) -d $(DESTDIR)$(sysconfdir)/cpubalanced/cpubalanced.conf.d
	@conf=$(DESTDIR)$(sysconfdir)/cpubalanced/cpubalanced.conf; if [ -e $$conf ]; then \
		echo "kept: $$conf"; else $(BUILD)/cpubalanced --print-config >$$conf && chmod 0644 $$conf; fi
	@DESTDIR='$(DESTDIR)' tools/installed $(sbindir) $(USERS)

uninstall: ## put every original back, then remove what install and the daemon left
	@DESTDIR='$(DESTDIR)' tools/uninstall '$(sbindir)/cpubalanced' '$(runstatedir)/cpubalanced' \
		'$(localstatedir)/lib/cpubalanced' '$(sysconfdir)/cpubalanced' \
		'$(sbindir)/cpubalanced' '$(bindir)/cpubalctl' '$(systemdsystemunitdir)/$(UNIT)' \
		'$(libexecdir)/cpubalanced-metrics' '$(systemdsystemunitdir)/$(METRICS_UNIT)' \
		'$(systemdsystemunitdir)/$(METRICS_SOCKET)' '$(dbuspolicydir)/$(POLICY)' '$(polkitactionsdir)/$(ACTIONS)' '$(USERS)' \
		'$(datadir)/cpubalance/steering.conf' '$(datadir)/cpubalance/alerts.yml' '$(datadir)/cpubalance/dashboard.json' \
		'$(libexecdir)/cpubalanced-gauge' '$(systemdsystemunitdir)/$(GAUGE_UNIT)' '$(systemdsystemunitdir)/$(GAUGE_SOCKET)' \
		'$(bashcompletiondir)/cpubalctl' '$(zshcompletiondir)/_cpubalctl' $(foreach m,$(mans),'$(call man_dest,$(m))')

clean: ## remove $(BUILD)
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "Variables: BUILD CC CFLAGS CPPFLAGS LDFLAGS WERROR=1 V=1 prefix sysconfdir DESTDIR FUZZ_SECONDS SOAK_SECONDS"

.DELETE_ON_ERROR:
.SECONDARY:
-include $(patsubst %.c,$(BUILD)/obj/%.d,$(all_src))
