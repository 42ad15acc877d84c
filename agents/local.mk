# SPDX-License-Identifier: BSD-3-Clause
# The OCF agents, the systemd unit for use without a cluster, the example configuration.
AGENT_FILES = agents/controller agents/group agents/yoked.service

agents_subst = $(AM_V_GEN)$(MKDIR_P) agents && \
	$(SED) -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
	-e 's|@VERSION[@]|$(VERSION)|g' $(srcdir)/$@.in >$@.tmp && mv $@.tmp $@

agents/controller: agents/controller.in Makefile
	$(agents_subst)
	@chmod +x $@
agents/group: agents/group.in Makefile
	$(agents_subst)
	@chmod +x $@
agents/yoked.service: agents/yoked.service.in Makefile
	$(agents_subst)

ocfyokedir = $(ocfdir)/resource.d/yoke
ocfyoke_SCRIPTS = agents/controller agents/group
systemdunitdir = $(systemdsystemunitdir)
systemdunit_DATA = agents/yoked.service
yokeconfdir = $(sysconfdir)/yoke
yokeconf_DATA = docs/yoke.yaml.example

# The durable state of the groups; as a directory of the package it is there before the first start.
yokestatedir = $(localstatedir)/lib/yoke
install-data-local:
	test -d '$(DESTDIR)$(yokestatedir)' || { $(MKDIR_P) '$(DESTDIR)$(yokestatedir)' && chmod 0700 '$(DESTDIR)$(yokestatedir)'; }
uninstall-local:
	-test ! -d '$(DESTDIR)$(yokestatedir)' || rmdir '$(DESTDIR)$(yokestatedir)' 2>/dev/null

EXTRA_DIST += agents/controller.in agents/group.in agents/yoked.service.in
CLEANFILES += $(AGENT_FILES)

TESTS += tests/unit/test_agents.sh
EXTRA_DIST += tests/unit/test_agents.sh
