# SPDX-License-Identifier: BSD-3-Clause
EXTRA_DIST += docs/yoke.yaml.example docs/management.md
