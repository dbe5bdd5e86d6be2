package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteDefault prints a role's default configuration as a commented file that works as it is.
// Keys that have no default value are there as comments. command is what checks the file.
func WriteDefault(w io.Writer, role Role, command string) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# Mangrove %s: every key with its default. Flags override the file.\n", role)
	fmt.Fprintf(b, "# Check a changed file with: %s config check FILE\n", command)
	table := ""
	for _, k := range New(role).keys() {
		if k.table() != table {
			table = k.table()
			fmt.Fprintf(b, "\n[%s]\n", table)
		}
		fmt.Fprintln(b)
		for _, line := range wrap(k.help, 96) {
			fmt.Fprintf(b, "# %s\n", line)
		}
		if k.flag != "" {
			fmt.Fprintf(b, "# (--%s)\n", k.flag)
		}
		off := ""
		if k.unset {
			off = "# "
		}
		fmt.Fprintf(b, "%s%s = %s\n", off, k.leaf(), k.value.toml())
	}
	return b.Flush()
}

// wrap breaks s into lines of at most width characters.
func wrap(s string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
