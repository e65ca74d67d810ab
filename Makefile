# iubench: one file, no recursion, no configure. `make help` lists the targets.

B ?= build
CC ?= gcc
CFLAGS ?= -O2 -g
prefix ?= /usr/local
PKG_CONFIG ?= pkg-config

PACKAGES := liburing libpq libmemcached sqlite3 jansson inih zlib
override CPPFLAGS += -D_GNU_SOURCE -Isrc -I. -I$(B)/gen
override CFLAGS += -std=gnu11 -fno-omit-frame-pointer -fstack-protector-strong -pthread \
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings -Wpointer-arith \
	-Wformat=2 -Wimplicit-fallthrough $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all) $(if $(WERROR),-Werror)
override CPPFLAGS += $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
override LDLIBS += $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null) -lm -pthread
override LDFLAGS += $(if $(SAN),-fsanitize=$(SAN))

SOURCES := $(sort $(shell find src upstream storage -name '*.c'))
OBJECTS := $(SOURCES:%.c=$(B)/%.o)
PARTS := $(filter-out $(B)/src/main.o,$(OBJECTS))

.DELETE_ON_ERROR:
.PHONY: all clean

all: iubench ## build ./iubench

iubench: $(B)/iubench
	@cp -f $< $@

$(B)/iubench: $(B)/src/main.o $(B)/libiubench.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/libiubench.a: $(PARTS)
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)

clean: ## remove everything made
	rm -rf build iubench
