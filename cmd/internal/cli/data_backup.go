package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mangrove/internal/control"
	"mangrove/internal/store"
)

func newDataBackup(name string) *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR OUT",
		Short: "Write all of a data folder to one file, also while its node runs",
		Long: `Write the state of one moment to the file OUT; OUT - is standard output. The node may run: it is asked through
DIR/control.sock, goes on meanwhile, and everything that it acknowledged before is in the backup. For that be the
node's user, or root.

OUT is there whole or not at all: it is written under another name, synced, and renamed. It must not exist.
It holds messages and what is known of clients: keep it as you keep the data folder. Its mode is 0600.`,
		Example: fmt.Sprintf(`  %[1]s data backup /var/lib/mangrove /backup/mangrove-$(date +%%F).bak
  %[1]s data backup /var/lib/mangrove - | zstd > mangrove.bak.zst`, name),
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if err := dataBackup(ctx, cmd, args[0], args[1]); err != nil {
				return fmt.Errorf("back up: %w", err)
			}
			return nil
		},
	}
}

func dataBackup(ctx context.Context, cmd *cobra.Command, dir, out string) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	p := &progress{ctx: ctx}
	if isTerminal(cmd.ErrOrStderr()) {
		p.show = cmd.ErrOrStderr()
	}
	defer p.end()
	if out == "-" {
		if isTerminal(cmd.OutOrStdout()) {
			return WithCode(ExitUsage, errors.New("standard output is a terminal: send it to a file or a command"))
		}
		p.w = cmd.OutOrStdout()
		return backUp(ctx, dir, p)
	}
	if _, err := os.Lstat(out); err == nil {
		return fmt.Errorf("%s is there already: give another name, or remove it", out)
	}
	if err := writeWhole(out, func(w io.Writer) error { p.w = w; return backUp(ctx, dir, p) }); err != nil {
		return err
	}
	p.end()
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes\n", out, p.n)
	return err
}

// backUp has the node do it that runs on dir, or opens the folder when none does.
func backUp(ctx context.Context, dir string, w io.Writer) error {
	node, err := control.Dial(ctx, dir)
	if err == nil {
		return node.Backup(ctx, w)
	}
	if !errors.Is(err, control.ErrNobody) {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "state.db")); err != nil {
		return fmt.Errorf("%s is no data folder: %w", dir, err)
	}
	err = backUpStopped(dir, w)
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%w\nit has no %s: its node was started by an older version, is just starting, or could not make it (its log says why)", err, control.SocketName)
	}
	return errors.Join(err, handOver(dir))
}

func backUpStopped(dir string, w io.Writer) error {
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		return err
	}
	return errors.Join(s.Backup(w), s.Close())
}

// writeWhole makes a file that is there, synced, only when write succeeds.
func writeWhole(path string, write func(io.Writer) error) error {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when it was renamed
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// progress counts what is written and shows it now and then; it stops when ctx ends.
type progress struct {
	ctx  context.Context
	w    io.Writer
	show io.Writer // a terminal; nil = shown to nobody
	n    int64
	last time.Time
}

const progressEvery = 200 * time.Millisecond

func (p *progress) Write(b []byte) (int, error) {
	if err := context.Cause(p.ctx); err != nil {
		return 0, err
	}
	n, err := p.w.Write(b)
	p.n += int64(n)
	if p.show != nil && time.Since(p.last) > progressEvery {
		p.last = time.Now()
		fmt.Fprintf(p.show, "\r%.1f MB ", float64(p.n)/1e6)
	}
	return n, err
}

// end leaves the line of the terminal.
func (p *progress) end() {
	if !p.last.IsZero() {
		fmt.Fprint(p.show, "\r\033[K")
		p.last = time.Time{}
	}
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
