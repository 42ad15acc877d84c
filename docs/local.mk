# SPDX-License-Identifier: BSD-3-Clause
man_MANS += docs/yoked.8
EXTRA_DIST += docs/yoke.yaml.example docs/management.md docs/quickstart.md docs/multipath.conf docs/release-notes.md \
	docs/architecture.md docs/yoked.8 .ci/run .gitignore
