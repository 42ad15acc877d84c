#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# The pages that the build makes from the configuration's schema: whole, and the same keys in both.

page=${top_builddir:-.}/docs/yoke.yaml.5
table=${top_builddir:-.}/docs/configuration.md
example=${top_srcdir:-.}/docs/yoke.yaml.example
failed=0
dir=$(mktemp -d "${TMPDIR:-/tmp}/yoke-reference-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

complain() {
	echo "FAILED: $*"
	failed=1
}

for section in NAME SYNOPSIS DESCRIPTION KEYS EXAMPLE FILES "SEE ALSO"; do
	grep -qx "\.SH $section" "$page" || complain "$page has no section $section"
done

# The keys of the table, and those of the page between KEYS and EXAMPLE.
# shellcheck disable=SC2016 # backquotes of Markdown
sed -n 's/^| `\([a-z_0-9]*\)` |.*/\1/p' "$table" | sort >"$dir/table"
sed -n '/^\.SH KEYS/,/^\.SH EXAMPLE/s/^\\fB\(.*\)\\fR$/\1/p' "$page" | sort >"$dir/page"
[ "$(wc -l <"$dir/table")" -ge 50 ] || complain "$table has $(wc -l <"$dir/table") keys"
diff "$dir/table" "$dir/page" || complain "the pages have different keys"

# Every key that the example uses is explained.
sed -e 's/#.*//' "$example" | grep -o '[a-z_]*:\( \|$\)' | tr -d ': ' | sort -u >"$dir/example"
while read -r key; do
	grep -qx "$key" "$dir/page" || complain "$example uses $key, which no page explains"
done <"$dir/example"

"${top_builddir:-.}/yokectl" config check "$example" >"$dir/out" 2>&1 ||
	complain "$example is refused: $(cat "$dir/out")"

# The example stands in the page line by line.
sed -n '/^\.EX$/,/^\.EE$/p' "$page" | sed -e '1d' -e '$d' -e 's/\\-/-/g' -e 's/^\\&//' -e 's/\\e/\\/g' |
	cmp -s - "$example" || complain "the example in $page is not $example"

exit "$failed"
