# Builds libtcpshaker by cargo alone, and installs it on Linux.
#
#     make                                      target/release/libtcpshaker.so and libtcpshaker.a, and the tool
#     make install PREFIX=/usr/local DESTDIR=   the libraries, the headers, what pkg-config and CMake ask for, notices, the tool
#     make install-strip                        the same, without what debuggers read
#     make uninstall                            takes away what install put there
#     make TARGET=aarch64-unknown-linux-gnu     for another machine, as docs/platforms.md says
#
# LIBDIR, INCLUDEDIR, DATADIR and DOCDIR are below PREFIX unless they are set. CARGO, CARGO_TARGET_DIR and RUSTFLAGS are honoured,
# and CARGOFLAGS are flags for cargo. With cargo-c, `cargo cinstall` does the same on more systems.

CARGO ?= cargo
INSTALL ?= install
STRIP ?= strip
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
DOCDIR ?= $(DATADIR)/doc/tcpshaker
CARGOFLAGS ?= --locked
TARGET ?=

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# Before 1.0 a minor release may break the ABI (docs/abi.md).
SONAME := libtcpshaker.so.$(shell echo $(VERSION) | sed 's/^\(0\.[0-9]*\|[1-9][0-9]*\)\..*/\1/')

# As cargo has it: a relative directory counts from the place where cargo runs.
override CARGO_TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
BUILT := $(CARGO_TARGET_DIR)$(TARGET:%=/%)/release
# A musl target links statically, and makes no shared object, unless RUSTFLAGS have -crt-static.
SHARED := $(if $(findstring -musl,$(TARGET)),$(findstring -crt-static,$(RUSTFLAGS)),yes)

# The same source gives the same bits, whatever the directories of the source and of cargo are called.
SOURCES := /usr/src/tcpshaker-$(VERSION)
REMAPPED := --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=$(SOURCES)/cargo --remap-path-prefix=$(CURDIR)=$(SOURCES)
# Once, however many makes call each other: with other flags cargo builds everything anew.
override RUSTFLAGS := $(if $(findstring $(REMAPPED),$(RUSTFLAGS)),$(RUSTFLAGS),$(strip $(RUSTFLAGS) $(REMAPPED)))
export RUSTFLAGS CARGO_TARGET_DIR

# URL, for tcpshaker.pc.
include packaging/identity

NOTICES := LICENSE-MIT LICENSE-APACHE $(wildcard packaging/third-party/*)
HEADERS := $(wildcard include/*.h include/*.hpp)
# The tool needs jansson beside the library (Debian: libjansson-dev). It is not made for another machine, and the crate has
# no sources of it. TOOL= leaves it out.
PKG_CONFIG ?= pkg-config
TOOL_SOURCES := $(patsubst %/Makefile,%,$(wildcard tools/tcp-checker/Makefile))
TOOL ?= $(if $(TARGET),,$(if $(TOOL_SOURCES),$(shell $(PKG_CONFIG) --exists jansson 2> /dev/null && echo $(TOOL_SOURCES))))

# What was built last: by which flags, and what came of it.
STATE = (echo '$(VERSION) $(CARGOFLAGS) $(filter-out $(REMAPPED),$(RUSTFLAGS))'; \
	  cat $(if $(SHARED),$(BUILT)/libtcpshaker.so) $(BUILT)/libtcpshaker.a | cksum)
STATE_FILE := $(BUILT)/tcpshaker.state

all: library
	$(if $(TOOL),$(MAKE) -C $(TOOL) build/installed/tcp-checker)

# Not `cargo build`, which makes the Rust library in the same call, and then drops the link-time optimisation that
# the profile asks for: the C libraries would come out larger and slower.
library:
	@command -v $(firstword $(CARGO)) > /dev/null || \
	  { echo 'there is no $(CARGO) on the PATH (that of sudo is another one): run make first, where there is' >&2; exit 1; }
	$(CARGO) rustc $(CARGOFLAGS) --release --lib $(if $(SHARED),--crate-type cdylib) --crate-type staticlib $(TARGET:%=--target %)
	$(if $(SHARED),test -e $(BUILT)/$(SONAME) || ln -sf libtcpshaker.so $(BUILT)/$(SONAME))
	@$(STATE) > $(STATE_FILE)

# What is up to date is installed as it is: sudo may know no cargo, and what it builds would be root's.
built:
	@{ $(STATE) | cmp -s - $(STATE_FILE) && test -z "$$(find src abi build.rs Cargo.toml Cargo.lock -newer $(STATE_FILE))"; } \
	  2> /dev/null || $(MAKE) library

install: built
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(DATADIR)/tcpshaker/cmake $(DESTDIR)$(DOCDIR)
	$(INSTALL) -m 644 $(HEADERS) $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -m 644 $(BUILT)/libtcpshaker.a $(DESTDIR)$(LIBDIR)
ifneq ($(SHARED),)
	$(INSTALL) -m 755 $(BUILT)/libtcpshaker.so $(DESTDIR)$(LIBDIR)/libtcpshaker.so.$(VERSION)
	ln -sf libtcpshaker.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libtcpshaker.so
endif
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR:$(PREFIX)%=$${prefix}%)|' -e 's|@VERSION@|$(VERSION)|; s|@URL@|$(URL)|' \
	  -e 's|@INCLUDEDIR@|$(INCLUDEDIR:$(PREFIX)%=$${prefix}%)|' packaging/tcpshaker.pc.in \
	  > $(DESTDIR)$(LIBDIR)/pkgconfig/tcpshaker.pc
	$(INSTALL) -m 644 packaging/cmake/*.cmake $(DESTDIR)$(DATADIR)/tcpshaker/cmake
	$(INSTALL) -m 644 $(NOTICES) $(DESTDIR)$(DOCDIR)
	$(if $(TOOL),$(MAKE) -C $(TOOL) install,$(if $(TARGET)$(filter command,$(origin TOOL))$(if $(TOOL_SOURCES),,none),,@echo 'tcp-checker is left out: pkg-config knows no jansson (Debian: libjansson-dev)'))

install-strip: install
	$(STRIP) --strip-debug $(DESTDIR)$(LIBDIR)/libtcpshaker.a
	$(if $(SHARED),$(STRIP) --strip-unneeded $(DESTDIR)$(LIBDIR)/libtcpshaker.so.$(VERSION))

uninstall:
	rm -f $(addprefix $(DESTDIR)$(INCLUDEDIR)/,$(notdir $(HEADERS)))
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libtcpshaker.a libtcpshaker.so $(SONAME) libtcpshaker.so.$(VERSION))
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/tcpshaker.pc
	rm -rf $(DESTDIR)$(DATADIR)/tcpshaker $(DESTDIR)$(DOCDIR)
	$(if $(TOOL_SOURCES),$(MAKE) -C $(TOOL_SOURCES) uninstall)

clean:
	$(CARGO) clean

.PHONY: all library built install install-strip uninstall clean
