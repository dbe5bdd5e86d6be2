package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/config"
	"mangrove/internal/control"
	"mangrove/internal/dashboard"
)

// askTime bounds one request of a node.
const askTime = time.Minute

// operateHelp explains DIR and the exit codes in --help.
const operateHelp = `DIR is the data folder of a node that runs here; left out, it is mangrove-data/edge or mangrove-data/core below the
working folder. The node is asked through DIR/control.sock: be its user, or root.

Exit codes:
  0  done
  1  no node runs on DIR, or it refused: the message says what to do
  2  flags or arguments that cannot be`

// operated is the running node that a command is about.
type operated struct {
	*control.Client
	ctx context.Context
	dir string
}

// operate runs fn with the node that runs on dir; "" = where a node keeps its data by default.
func operate(cmd *cobra.Command, dir string, fn func(n operated) error) error {
	if dir == "" {
		var err error
		if dir, err = usualFolder(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), askTime)
	defer cancel()
	c, err := control.Dial(ctx, dir)
	if err != nil {
		return notRunning(dir, err)
	}
	return fn(operated{c, ctx, dir})
}

// notRunning says what to do when no node answers.
func notRunning(dir string, err error) error {
	if !errors.Is(err, control.ErrNobody) {
		return err
	}
	if _, statErr := os.Stat(dir); statErr != nil {
		return fmt.Errorf("%w\ngive the node's data folder (its key data, or --data)", statErr)
	}
	return fmt.Errorf("%w\nstart the node (mangrove edge --data %[2]s, systemctl start …), or give the data folder of the one that runs", err, dir)
}

// usualFolder is the one data folder below the working folder.
func usualFolder() (string, error) {
	var found []string
	for _, role := range []config.Role{config.Edge, config.Core} {
		dir := config.New(role).Data
		if _, err := os.Stat(dir); err == nil {
			found = append(found, dir)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", WithCode(ExitUsage, errors.New("no data folder here: give the node's (its key data, or --data)"))
	}
	return "", WithCode(ExitUsage, fmt.Errorf("which node: %s?", strings.Join(found, " or ")))
}

// dirAnd takes [DIR] WHAT apart.
func dirAnd(args []string) (dir, what string) {
	if len(args) == 2 {
		return args[0], args[1]
	}
	return "", args[0]
}

// dirOf is the optional DIR.
func dirOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// printJSON prints v for programs.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// confirm asks before something is lost. yes = --yes was given.
func confirm(cmd *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	if !isTerminal(cmd.InOrStdin()) {
		return WithCode(ExitUsage, fmt.Errorf("%s: nothing done; --yes does it without asking", what))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s. Go on? [y/N] ", what)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a != "y" && a != "yes" {
		return errors.New("nothing done")
	}
	return nil
}

// messagesOf is "1 message (12 B)".
func messagesOf(n int, bytes int64) string {
	if n == 1 {
		return "1 message (" + sizeOf(bytes) + ")"
	}
	return fmt.Sprintf("%d messages (%s)", n, sizeOf(bytes))
}

func lostOf(l dashboard.Lost) string { return messagesOf(l.Messages, l.Bytes) }

// sizeOf is a number of bytes in three digits or so.
func sizeOf(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v := float64(n)
	for len(units) > 1 && v >= 999.5 {
		v, units = v/1000, units[1:]
	}
	if v >= 10 || units[0] == "B" {
		return fmt.Sprintf("%.0f %s", v, units[0])
	}
	return fmt.Sprintf("%.1f %s", v, units[0])
}

// spanOf is a number of seconds as people say it; "-" = 0.
func spanOf(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d <= 0:
		return "-"
	case d < time.Second:
		return "<1s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// screenWidth is what tables fit into.
const screenWidth = 80

// printTable prints rows, the titles first, with the first column cut so that all fits the screen. Cells after the first are
// aligned to the right when right says so.
func printTable(out io.Writer, right string, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	total := 2 * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	widths[0] = max(widths[0]-max(total-screenWidth, 0), 8)
	for _, r := range rows {
		line := ""
		for i, cell := range r {
			cell = shorten(cell, widths[i])
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if right[i] == 'r' {
				cell = pad + cell
			} else {
				cell += pad
			}
			line += cell + "  "
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
}

// shorten cuts s in the middle: names often differ at their end.
func shorten(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	head := (width - 1) / 2
	return string(r[:head]) + "…" + string(r[len(r)-(width-1-head):])
}

// printable is a name that others chose, safe for a terminal.
func printable(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// fold prints text after indent, in lines that fit the screen.
func fold(out io.Writer, indent, text string) {
	line := indent
	for _, word := range strings.Fields(text) {
		if line != indent && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > screenWidth {
			fmt.Fprintln(out, line)
			indent = strings.Repeat(" ", utf8.RuneCountInString(indent))
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(out, line)
}
