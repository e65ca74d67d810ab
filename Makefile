# iubench: one file, no recursion into folders, no configure. `make help` lists the targets.
#
# Everything made stands below $(B); a variant is another B, so that no flags leak between variants:
#   make B=build/asan SAN=address,undefined

VERSION := 0.1.0

B ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
prefix ?= /usr/local
INSTALL ?= install
PKG_CONFIG ?= pkg-config
FUZZ_SECONDS ?= 20
Q := $(if $(V),,@)
CLANG ?= $(shell command -v clang-14 || command -v clang || echo clang)

# --- libraries: pkg-config's name, then Debian's package ------------------------------------------

LIBRARIES := liburing libpq libmemcached sqlite3 jansson inih zlib
debian_liburing     := liburing-dev
debian_libpq        := libpq-dev
debian_libmemcached := libmemcached-dev
debian_sqlite3      := libsqlite3-dev
debian_jansson      := libjansson-dev
debian_inih         := libinih-dev
debian_zlib         := zlib1g-dev

# These set up or clean the machine, or start a make of their own once that is done.
WITHOUT_LIBRARIES := help clean uninstall dist check-dist demo check
ifneq ($(filter-out $(WITHOUT_LIBRARIES),$(or $(MAKECMDGOALS),all)),)
ifeq ($(shell command -v $(PKG_CONFIG)),)
$(error $(PKG_CONFIG) is missing: install the Debian package pkg-config, or run `tools/setup build`)
endif
MISSING := $(shell $(PKG_CONFIG) --exists $(LIBRARIES) || \
	for l in $(LIBRARIES); do $(PKG_CONFIG) --exists $$l || echo $$l; done)
ifneq ($(MISSING),)
$(error $(MISSING) cannot be found by $(PKG_CONFIG): install $(foreach l,$(MISSING),$(debian_$(l))) \
	(names of Debian), or run `tools/setup build`)
endif
LIBRARY_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LIBRARIES))
# libmemcached asks for two more libraries that only its SASL and pool users need.
LIBRARY_LIBS := $(filter-out -lsasl2 -lmemcachedutil,$(shell $(PKG_CONFIG) --libs $(LIBRARIES)))
# STATIC=1: those of which there is an archive are linked in. docs/DEPENDENCIES.md says why not the others.
ARCHIVES := $(if $(STATIC),$(foreach l,uring sqlite3 jansson inih z,$(if $(filter /%,\
	$(shell $(CC) -print-file-name=lib$l.a)),$l)))
LIBRARY_LIBS := $(foreach l,$(LIBRARY_LIBS),$(if $(filter $(l:-l%=%),$(ARCHIVES)),$(l:-l%=-l:lib%.a),$l))
# The charts of the page, one JavaScript file that is built into it.
DYGRAPHS ?= $(firstword $(wildcard /usr/share/javascript/dygraphs/dygraph.min.js \
	node_modules/dygraphs/dist/dygraph.min.js))
ifeq ($(wildcard $(or $(DYGRAPHS),-)),)
$(error dygraph.min.js cannot be found$(DYGRAPHS:%= at %): install libjs-dygraphs (name of Debian), or run \
	`tools/setup build`; elsewhere `npm install dygraphs@2.2.1`, or say DYGRAPHS=FILE)
endif
endif

# --- flags: what the program needs is added to what the user gives ----------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
	-Wwrite-strings -Wpointer-arith -Wformat=2 -Wimplicit-fallthrough $(if $(WERROR),-Werror)
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
override CPPFLAGS := -D_GNU_SOURCE -Isrc -I. -I$(B)/gen $(LIBRARY_CFLAGS) $(CPPFLAGS)
override CFLAGS := -std=gnu11 -pthread -fno-omit-frame-pointer -fstack-protector-strong \
	-ffile-prefix-map=$(CURDIR)=. $(WARNINGS) $(CFLAGS)
override LDFLAGS := -Wl,--as-needed $(LDFLAGS)
# Optimised across files, a GET costs 2 % less CPU; tests link the same objects as they are.
LTO := $(if $(SAN),,$(if $(findstring gcc,$(notdir $(CC))),-flto=auto -ffat-lto-objects))
override LDLIBS := $(LIBRARY_LIBS) -lm -pthread $(LDLIBS)

# --- what there is ----------------------------------------------------------------------------------

SOURCES := $(sort $(shell find src upstream storage -name '*.c' -o -name '*.S'))
OBJECTS := $(addprefix $(B)/,$(addsuffix .o,$(basename $(SOURCES))))
PARTS := $(filter-out $(B)/src/main.o,$(OBJECTS))

FAKE_RING := $(B)/tests/lib/fakering.o
TEST_LIB := $(filter-out $(FAKE_RING),$(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c)))
UNIT := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
SIMULATIONS := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_sim_*.c))
INTEGRATION := $(patsubst %.c,$(B)/%,$(wildcard tests/integration/*.c))
PRELOADS := $(patsubst %.c,$(B)/%.so,$(wildcard tests/preload/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS := $(FUZZERS:%=$(B)/replay/%)
BENCH := $(patsubst tools/bench/%.c,$(B)/bench/%,$(wildcard tools/bench/*.c))
MICRO := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/bench_*.c))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all help demo check unit integration soak bench fuzz lint install uninstall clean
.PHONY: man dist deb check-dist test-programs replays fuzzers bench-programs FORCE

all: $(B)/iubench $(if $(filter build,$(B)),iubench) man ## build ./iubench and its man pages (the default)

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  B=build/asan SAN=address,undefined   a sanitizer build beside the plain one'
	@echo '  V=1                                  show the commands'
	@echo '  STATIC=1                             link in the libraries of which there is an archive'
	@echo '  WERROR=1                             warnings are errors, as in CI'
	@echo '  FUZZ_SECONDS=20                      how long make fuzz runs each fuzzer'
	@echo '  prefix=/usr/local DESTDIR=           where make install puts things'

# --- the program ------------------------------------------------------------------------------------

iubench: $(B)/iubench
	@cp -f $< $@

$(B)/iubench: $(B)/src/main.o $(B)/libiubench.a $(B)/gen/libraries
	@echo "  LINK   $@"
	$(Q)$(CC) $(CFLAGS) $(LTO) $(SAN_FLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LDLIBS)

$(B)/libiubench.a: $(PARTS)
	@rm -f $@
	@echo "  AR     $@"
	$(Q)$(AR) rcs $@ $^

$(B)/%.o: %.c $(B)/gen/flags | $(B)/gen/version.h $(B)/gen/scenario_files.inc
	@mkdir -p $(@D)
	@echo "  CC     $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(PART_FLAGS) $(SAN_FLAGS) -MMD -MP -c -o $@ $<

$(OBJECTS): PART_FLAGS = $(LTO)
# What runs once, or once a second, is better small.
$(filter $(foreach f,cli commands lab live report,$(B)/src/$f/%),$(OBJECTS)): PART_FLAGS = $(LTO) -Os

# Files are embedded by .incbin, which -MMD cannot see: every file that the source names in quotes is
# a prerequisite.
$(B)/%.o: %.S
	@mkdir -p $(@D)
	@echo "  CC     $@"
	$(Q)$(CC) $(CPPFLAGS) -MMD -MP -Wa,--noexecstack -c -o $@ $<
	@grep -o '"[^"]*"' $< | tr -d '"' | sort -u | while read -r f; do \
		if [ -f "$$f" ]; then printf '%s: %s\n%s:\n' $@ "$$f" "$$f"; fi; done >> $(@:.o=.d)

# Other flags make other objects, but for those that change none. Written only when it changes.
FLAGS := $(CC) $(CPPFLAGS) $(filter-out -Werror -ffile-prefix-map=%,$(CFLAGS)) $(SAN_FLAGS)
$(B)/gen/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# Other libraries link the program anew.
$(B)/gen/libraries: FORCE
	@mkdir -p $(@D)
	@echo '$(LDLIBS)' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# What --version and the man pages say; written only when it changes.
$(B)/gen/version.h: FORCE
	@mkdir -p $(@D)
	@set -- $$(tools/revision $(VERSION)); \
		printf '#define IUBENCH_VERSION "%s"\n#define IUBENCH_DATE "%s"\n' $$1 $$2 > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# The scenarios as C strings, one row a file; written only when it changes.
$(B)/gen/scenario_files.inc: FORCE
	@mkdir -p $(@D)
	@for name in $(sort $(patsubst scenarios/%.ini,%,$(wildcard scenarios/*.ini))); do echo "{\"$$name\", SPAN("; \
		sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' scenarios/$$name.ini; echo ')},'; done > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# The page of the report, one text.
$(B)/gen/page.html: tools/page $(wildcard web/*) $(DYGRAPHS)
	@mkdir -p $(@D)
	@echo "  PAGE   $@"
	$(Q)tools/page $(abspath $(DYGRAPHS)) > $@

$(B)/src/report/page_html.o: $(B)/gen/page.html

-include $(OBJECTS:.o=.d) $(TEST_LIB:.o=.d) $(FAKE_RING:.o=.d) $(UNIT:=.d) $(INTEGRATION:=.d) $(PRELOADS:.so=.d) $(MICRO:=.d) \
	$(FUZZERS:%=$(B)/tests/fuzz/%.d) $(PARTS:$(B)/%.o=$(B)/fuzz/%.d) \
	$(FUZZERS:%=$(B)/fuzz/tests/fuzz/%.d)

# --- tests ------------------------------------------------------------------------------------------

# A make of our own, with all cores unless the caller's -j rules.
AGAIN = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

# Exit status 5: the run was made, and its verdict is INVALID; a busy machine is no failed demo.
SHOWN_ALL_THE_SAME = [ $$? -eq 5 ]

demo: ## two commands from a clone to a result: set up, build, run test1 and test2 for some seconds
	@tools/setup build
	@$(AGAIN) all
	./iubench run test1 -d 5s --services embedded || $(SHOWN_ALL_THE_SAME)
	./iubench run test2 -d 5s --services embedded || $(SHOWN_ALL_THE_SAME)

check: ## set up what tests need, build, run every test
	@tools/setup all
	@tests/run

unit: ## run the unit tests
	@tests/run build unit

integration: ## run the tests that start ./iubench, PostgreSQL and memcached
	@tests/run build integration

lint: $(B)/gen/version.h $(B)/gen/scenario_files.inc ## check includes, banned words, format, function length, comments
	@CC='$(CC)' CLANG='$(CLANG)' FLAGS='$(CPPFLAGS) $(CFLAGS)' tools/lint

test-programs: $(UNIT) $(INTEGRATION) $(PRELOADS)

# Only what is below tests/ sees -Itests, for "lib/guard.h".
$(B)/tests/%.o $(B)/fuzz/tests/%.o: override CPPFLAGS += -Itests

$(UNIT) $(INTEGRATION) $(MICRO): $(B)/%: $(B)/%.o $(B)/libtests.a $(B)/libiubench.a
	@echo "  LINK   $@"
	$(Q)$(CC) $(CFLAGS) -fno-lto $(SAN_FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
		$(LDLIBS) -lcmocka

# For LD_PRELOAD; never with a sanitizer, which takes the same functions.
$(PRELOADS): $(B)/%.so: %.c
	@mkdir -p $(@D)
	@echo "  LINK   $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared -MMD -MP $(LDFLAGS) -o $@ $<

# The fake ring stands before the archive, whose ring.o is then not asked for.
$(SIMULATIONS): $(FAKE_RING)
$(SIMULATIONS): override LDFLAGS += $(foreach f,close shutdown sock_open sock_forget clock_ns \
	clock_wall_us log_line,-Wl,--wrap=$f)

# Asking whether a process has ended, whose answer may be old as soon as it is given.
$(B)/tests/integration/test_services: override LDFLAGS += -Wl,--wrap=waitid

$(B)/libtests.a: $(TEST_LIB)
	@mkdir -p $(@D) && rm -f $@
	@$(AR) rcs $@ $^

soak: $(B)/iubench ## minutes of bad clients and dying servers (SOAK_OPTIONS='--minutes 3'), then everything must add up
	@IUBENCH_BINARY=$(B)/iubench tools/soak $(SOAK_OPTIONS)

# --- fuzzing: clang's libFuzzer for searching, the plain compiler for replaying the corpus ------------

fuzz: fuzzers ## run each fuzzer for FUZZ_SECONDS (20)
	@tests/fuzz/run $(B) $(FUZZ_SECONDS) $(FUZZERS)

fuzzers: $(FUZZERS:%=$(B)/fuzz/%)

# Their one function is called by name, from libFuzzer or from replay.c.
$(B)/fuzz/tests/fuzz/%.o $(B)/tests/fuzz/%.o: override CFLAGS += -Wno-missing-prototypes

replays: $(REPLAYS)

FUZZ_SAN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

$(FUZZERS:%=$(B)/fuzz/%): $(B)/fuzz/%: $(B)/fuzz/tests/fuzz/%.o $(B)/fuzz/libtests.a \
		$(B)/fuzz/libiubench.a
	@echo "  LINK   $@"
	$(Q)$(CLANG) $(CFLAGS) $(FUZZ_SAN) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/fuzz/libtests.a: $(TEST_LIB:$(B)/%=$(B)/fuzz/%)
	@rm -f $@
	@$(AR) rcs $@ $^

$(B)/fuzz/libiubench.a: $(PARTS:$(B)/%=$(B)/fuzz/%)
	@rm -f $@
	@echo "  AR     $@"
	$(Q)$(AR) rcs $@ $^

$(B)/fuzz/%.o: %.c $(B)/gen/flags | $(B)/gen/version.h $(B)/gen/scenario_files.inc
	@mkdir -p $(@D)
	@echo "  CLANG  $@"
	$(Q)$(CLANG) $(CPPFLAGS) $(CFLAGS) $(FUZZ_SAN) -MMD -MP -c -o $@ $<

$(B)/fuzz/%.o: $(B)/%.o
	@mkdir -p $(@D)
	@cp $< $@

$(REPLAYS): $(B)/replay/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(B)/libtests.a \
		$(B)/libiubench.a
	@mkdir -p $(@D)
	@echo "  LINK   $@"
	$(Q)$(CC) $(CFLAGS) -fno-lto $(SAN_FLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# --- benchmarks -------------------------------------------------------------------------------------

bench: all bench-programs $(MICRO) ## server CPU per request and client rate beside nginx, wrk and the bare floor
	@for micro in $(MICRO); do $$micro || exit 1; done
	@tools/bench/run --build $(B) $(BENCH_OPTIONS)

bench-programs: $(BENCH)

$(BENCH): $(B)/bench/%: tools/bench/%.c
	@mkdir -p $(@D)
	@echo "  LINK   $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< -luring

# --- installing -------------------------------------------------------------------------------------

COMMANDS := $(shell grep -o '&command_[a-z]*' src/main.c | cut -d_ -f2)
MANUALS := $(B)/man/iubench.1 $(COMMANDS:%=$(B)/man/iubench-%.1) $(B)/man/iubench-scenario.5
COMPLETIONS := $(addprefix $(B)/completion/,bash zsh fish)

$(B)/man/iubench.1: $(B)/iubench
	@mkdir -p $(@D) && $< manual > $@

$(B)/man/iubench-%.1: $(B)/iubench
	@mkdir -p $(@D) && $< manual $* > $@

$(B)/man/iubench-%.5: $(B)/iubench
	@mkdir -p $(@D) && $< manual $* > $@

$(B)/completion/%: $(B)/iubench
	@mkdir -p $(@D) && $< completion $* > $@

# As it stands, but for the place of the program.
$(B)/iubench.service: deploy/systemd/iubench.service FORCE
	@mkdir -p $(@D)
	@sed 's|/usr/local|$(prefix)|' $< > $@

# What is installed beside the program: FILE=PLACE below $(prefix), in folders of ours or of others.
zsh_folder ?= share/zsh/site-functions
OUR_FOLDERS := share/doc/iubench share/iubench
INSTALLED = $(foreach f,$(MANUALS),$f=share/man/man$(patsubst .%,%,$(suffix $f))/$(notdir $f)) \
	$(B)/completion/bash=share/bash-completion/completions/iubench \
	$(B)/completion/zsh=$(zsh_folder)/_iubench \
	$(B)/completion/fish=share/fish/vendor_completions.d/iubench.fish \
	$(B)/iubench.service=lib/systemd/system/iubench.service \
	$(foreach f,$(sort LICENSE $(wildcard *.md docs/*.md docs/*.json)),$f=share/doc/iubench/$(notdir $f)) \
	$(foreach f,$(sort $(wildcard scenarios/*.ini)),$f=share/doc/iubench/$f) \
	$(foreach f,$(sort $(shell find deploy -type f ! -path 'deploy/systemd/*')),$f=$(f:deploy/%=share/iubench/%))

man: $(MANUALS) $(COMPLETIONS)

install: all $(B)/iubench.service ## install below $(DESTDIR)$(prefix)
	$(INSTALL) -D -s -m 755 $(B)/iubench '$(DESTDIR)$(prefix)/bin/iubench'
	$(Q)set -e; for row in $(INSTALLED); do \
		$(INSTALL) -D -m 644 "$${row%%=*}" "$(DESTDIR)$(prefix)/$${row#*=}"; done

uninstall: ## remove what install put there, and nothing else
	rm -f '$(DESTDIR)$(prefix)/bin/iubench'
	$(Q)for row in $(INSTALLED); do rm -f "$(DESTDIR)$(prefix)/$${row#*=}"; done
	$(Q)for folder in $(OUR_FOLDERS); do if [ -d "$(DESTDIR)$(prefix)/$$folder" ]; then \
		find "$(DESTDIR)$(prefix)/$$folder" -depth -type d -empty -delete; fi; done

dist: ## the last commit as build/dist/iubench-VERSION.tar.gz
	@tools/dist $(VERSION)

deb: all ## a Debian package of this machine's architecture, build/dist/iubench_VERSION_ARCH.deb
	@tools/deb $(VERSION) '$(MAKE) --no-print-directory B=$(B)'

check-dist: ## clone, the two commands, tutorial and package in a fresh Debian (root, network, an hour)
	@tools/check-dist

clean: ## remove everything made
	rm -rf build iubench
