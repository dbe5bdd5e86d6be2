package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mangrove/cmd/internal/cli"
	"mangrove/internal/auth"
)

func newPasswdCommand() *cobra.Command {
	var scram, remove bool
	cmd := &cobra.Command{
		Use:   "passwd FILE USER",
		Short: "Set a user's password in a password file, or remove the user",
		Long: `Set a user's password in a password file (auth.password_file, --password-file), or remove the user. The file is made when it
is missing; other users' lines and comments stay. A running node takes the change within a second.

The password is asked for, or read as one line when the input is no terminal.`,
		Example: `  mangrove passwd /etc/mangrove/passwords sensor-7
  mangrove passwd --scram /etc/mangrove/passwords app      # for SCRAM-SHA-256 (MQTT 5.0) as well
  head -c18 /dev/urandom | base64 | tee secret | mangrove passwd /etc/mangrove/passwords gw-7
  mangrove passwd --remove /etc/mangrove/passwords sensor-7`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, user := args[0], args[1]
			if user == "" || strings.ContainsAny(user, ":\r\n") || strings.HasPrefix(user, "#") {
				return cli.WithCode(cli.ExitUsage, fmt.Errorf("user name %q: it may not be empty, begin with # or hold a colon or a line break", user))
			}
			var lines []string
			if !remove {
				password, err := askPassword(cmd.InOrStdin(), cmd.ErrOrStderr(), user)
				if err != nil {
					return err
				}
				lines = passwordLines(user, password, scram)
			}
			return replaceUser(path, user, lines)
		},
	}
	cmd.Flags().BoolVar(&scram, "scram", false, "add a line for SCRAM-SHA-256, with which the password itself is never sent")
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the user")
	cmd.MarkFlagsMutuallyExclusive("scram", "remove")
	return cmd
}

func passwordLines(user, password string, scram bool) []string {
	lines := []string{user + ":" + auth.Hash(password)}
	if scram {
		lines = append(lines, user+":"+auth.ScramHash(password))
	}
	return lines
}

// askPassword reads one line, without echo from a terminal.
func askPassword(in io.Reader, out io.Writer, user string) (string, error) {
	if f, ok := in.(*os.File); ok {
		if restore, err := silence(f); err == nil {
			defer restore()
			fmt.Fprintf(out, "password of %s: ", user)
			defer fmt.Fprintln(out)
		}
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		return "", fmt.Errorf("read password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("the password is empty")
	}
	return line, nil
}

// silence turns a terminal's echo off; an error says that f is none.
func silence(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil // a terminal that has gone needs no echo
}

// replaceUser puts lines where the user's own were, or at the end. Readers see the file as it was or as it will be.
func replaceUser(path, user string, lines []string) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read password file: %w", err)
	}
	var kept []string
	for line := range strings.Lines(string(old)) {
		if line = strings.TrimRight(line, "\r\n"); !strings.HasPrefix(line, user+":") {
			kept = append(kept, line)
			continue
		}
		kept = append(kept, lines...)
		lines = nil
	}
	kept = append(kept, lines...)
	return writeFile(path, strings.Join(append(kept, ""), "\n"))
}

func writeFile(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".passwd-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write password file: %w", err)
	}
	defer os.Remove(f.Name()) // fails when it was renamed
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write password file: %w", err)
	}
	if before, err := os.Stat(path); err == nil {
		if err := os.Chmod(f.Name(), before.Mode()); err != nil {
			return fmt.Errorf("write password file: %w", err)
		}
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write password file: %w", err)
	}
	return nil
}
