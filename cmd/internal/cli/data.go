package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mangrove/internal/control"
	"mangrove/internal/store"
)

// NewData is the command `data` of the binary with that name.
func NewData(name string) *cobra.Command {
	cmd := Group(&cobra.Command{
		Use:   "data",
		Short: "Back up, restore, check or compact a data folder",
		Example: fmt.Sprintf(`  %[1]s data backup /var/lib/mangrove /backup/mangrove.bak   # the node may run
  %[1]s data restore /backup/mangrove.bak /tmp/restored
  %[1]s data check /tmp/restored`, name),
	})
	cmd.AddCommand(newDataBackup(name), newDataRestore(name), newDataCheck(), newDataCompact())
	return cmd
}

func newDataCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR",
		Short: "Read all of a data folder and tell whether it is consistent",
		Long: `Read all of the data folder of a node that is stopped: the log, every record, every message body and every
reference to one. What the log holds beyond the last checkpoint is brought into the database, as a start of the
node would. To check the data of a node that runs, back it up, restore that elsewhere, and check it there.

Exit codes:
  0  all is well
  1  something is wrong, or the folder does not open`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return stopped(args[0], "checked", func() error { return dataCheck(cmd.OutOrStdout(), args[0]) })
		},
	}
}

func dataCheck(out io.Writer, dir string) error {
	r, err := store.Check(dir)
	if err != nil {
		return err
	}
	records := 0
	for _, n := range r.Records {
		records += n
	}
	_, err = fmt.Fprintf(out, "%d records, %d message bodies, %d references, %d log records replayed, file %d bytes, in use %d bytes\n",
		records, r.Bodies, r.References, r.Replayed, r.FileBytes, r.UsedBytes)
	for _, p := range r.Problems {
		_, problemErr := fmt.Fprintln(out, p)
		err = errors.Join(err, problemErr)
	}
	if err == nil && r.Found > 0 {
		err = fmt.Errorf("%s: %d problems: restore a backup of the data folder", dir, r.Found)
	}
	return err
}

func newDataRestore(name string) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE DIR",
		Short: "Make a data folder from a backup",
		Long: `Make a data folder from a backup; FILE - is standard input. DIR must be new or empty: move a damaged folder aside
first. To other nodes the restored one is a new origin, so that the numbers it gives again are not taken for
repeats.

What the backup does not know has happened all the same: messages that were acknowledged after it are missing, and
those that were delivered after it are delivered again.`,
		Example: fmt.Sprintf(`  %[1]s data restore mangrove.bak /var/lib/mangrove
  ssh gateway %[1]s data backup /var/lib/mangrove - | %[1]s data restore - /tmp/gateway`, name),
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return stopped(args[1], "restored to", func() error { return dataRestore(cmd.InOrStdin(), args[0], args[1]) })
		},
	}
}

func dataRestore(stdin io.Reader, file, dir string) error {
	if file == "-" {
		return store.Restore(stdin, dir)
	}
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return errors.Join(store.Restore(f, dir), f.Close())
}

func newDataCompact() *cobra.Command {
	return &cobra.Command{
		Use:   "compact DIR",
		Short: "Give free space inside the database back to the disk",
		Long: `Write the database anew without its free pages. Free pages are used again, and a running node
compacts by itself when most of the file is free, so this is for those who want the room at once. It needs room for a second
copy meanwhile. A node that uses the folder does it itself, and goes on serving.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, after, err := dataCompact(cmd, args[0])
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d bytes, before %d\n", after, before)
			}
			return err
		},
	}
}

func dataCompact(cmd *cobra.Command, dir string) (before, after int64, err error) {
	node, err := control.Dial(cmd.Context(), dir)
	switch {
	case err == nil:
		before, after, err = node.Compact(cmd.Context())
		if err != nil {
			err = fmt.Errorf("compact %s: %w", dir, err)
		}
		return before, after, err
	case !errors.Is(err, control.ErrNobody):
		return 0, 0, err
	}
	err = stopped(dir, "compacted", func() (err error) { before, after, err = store.Compact(dir); return err })
	return before, after, err
}

// stopped runs what needs dir for itself. What it makes there belongs to the folder's owner, so that root does not shut
// the node's user out.
func stopped(dir, what string, fn func() error) error {
	err := fn()
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%w\n%s can be %s only while no node uses it: stop the node first", err, dir, what)
	}
	return errors.Join(err, handOver(dir))
}
