// Package cli is what the commands share: running a node until a signal, exit codes, logging, and the
// commands that both mangrove and mangrove-edge have.
//
// Exit codes are a contract with scripts and service managers; see ExitHelp.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes of every command.
const (
	ExitClean   = 0
	ExitFailed  = 1 // it was started and something went wrong
	ExitUsage   = 2 // flags, arguments or configuration that cannot be
	ExitStorage = 3 // writing the data folder failed: restarting does not help, look at the disk
	ExitForced  = 4 // a second signal came while closing
)

// ExitHelp explains the codes of a node in --help.
const ExitHelp = `Exit codes:
  0  stopped by SIGTERM or Ctrl-C, everything flushed to disk
  1  could not start, or failed while running
  2  flags or configuration that cannot be
  3  the data folder can no longer be written: look at the disk before restarting
  4  a second signal came before everything was flushed`

// codedError is an error with its exit code. Other packages may bring their own: what counts is
// the method.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }
func (e *codedError) ExitCode() int { return e.code }

// WithCode gives err an exit code; nil stays nil.
func WithCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codedError{code, err}
}

// Group makes cmd a command that has only subcommands: alone it shows its help, and a word that is
// none of them is a usage error.
func Group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// Execute runs a command line and tells its exit code. Errors are written to stderr, one a line.
func Execute(root *cobra.Command, args []string, stderr io.Writer) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(args)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return WithCode(ExitUsage, fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath()))
	})
	reached := false
	root.PersistentPreRun = func(*cobra.Command, []string) { reached = true }
	err := root.Execute()
	if err == nil {
		return ExitClean
	}
	if text := err.Error(); text != "" {
		for line := range strings.SplitSeq(text, "\n") {
			fmt.Fprintf(stderr, "%s: %s\n", root.Name(), line)
		}
	}
	var coded interface{ ExitCode() int }
	switch {
	case errors.As(err, &coded):
		return coded.ExitCode()
	case !reached: // an unknown command, a wrong number of arguments
		return ExitUsage
	}
	return ExitFailed
}
