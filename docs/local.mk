# SPDX-License-Identifier: BSD-3-Clause
# Guides and man pages. The configuration's reference is made from its schema, at each build.
noinst_PROGRAMS += docs/conf_reference
docs_conf_reference_SOURCES = docs/conf_reference.c
docs_conf_reference_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
docs_conf_reference_LDADD = libyokeconf.a $(CONF_LIBS)

DOCS_MADE = docs/yoke.yaml.5 docs/configuration.md

docs/yoke.yaml.5: docs/conf_reference$(EXEEXT) docs/yoke.yaml.example
	$(AM_V_GEN)docs/conf_reference$(EXEEXT) man $(srcdir)/docs/yoke.yaml.example >$@.tmp && mv $@.tmp $@
docs/configuration.md: docs/conf_reference$(EXEEXT)
	$(AM_V_GEN)docs/conf_reference$(EXEEXT) markdown >$@.tmp && mv $@.tmp $@

man_MANS += docs/yoked.8 docs/yoke.yaml.5
doc_DATA = docs/configuration.md
dist_doc_DATA = README docs/LICENSE docs/architecture.md docs/ha.md docs/management.md docs/multipath.conf \
	docs/performance.md docs/quickstart.md docs/release-notes.md docs/simulator.md
dist_doc_DATA += docs/performance-depth.svg docs/performance-lus.svg docs/performance-sessions.svg
dist_doc_DATA += docs/bad-input.md docs/kill-table.md docs/linux-hosts.md docs/testing.md
EXTRA_DIST += docs/model/README.md docs/model/group.pml docs/yoke.yaml.example docs/yoked.8 .ci/run .gitignore
CLEANFILES += $(DOCS_MADE)

TESTS += tests/unit/test_conf_reference.sh
EXTRA_DIST += tests/unit/test_conf_reference.sh
