package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/cli"
	"mangrove/internal/store"
)

func newDataCommand() *cobra.Command {
	cmd := cli.Group(&cobra.Command{
		Use:   "data",
		Short: "Look after the data folder of a node that does not run",
		Example: `  mangrove data check /var/lib/mangrove
  mangrove data backup /var/lib/mangrove mangrove.bak
  mangrove data restore mangrove.bak /var/lib/mangrove
  mangrove data compact /var/lib/mangrove`,
	})
	cmd.AddCommand(newDataCheck(), newDataBackup(), newDataRestore(), newDataCompact())
	return cmd
}

func newDataCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR",
		Short: "Read all of a data folder and tell whether it is consistent",
		Long: `Read all of a data folder: the log, every record, every message body and every reference to one. What the log
holds beyond the last checkpoint is brought into the database, as a start of the node would.

Exit codes:
  0  all is well
  1  something is wrong, or the folder does not open`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return dataCheck(cmd.OutOrStdout(), args[0]) },
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

func newDataBackup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR FILE",
		Short: "Write all of a data folder to one file",
		Args:  cobra.ExactArgs(2),
		RunE:  func(_ *cobra.Command, args []string) error { return dataBackup(args[0], args[1]) },
	}
}

func dataBackup(dir, file string) (err error) {
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := errors.Join(s.Backup(f), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

func newDataRestore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE DIR",
		Short: "Make a data folder from a backup",
		Long: `Make a data folder from a backup. DIR must not hold one already. To other nodes the restored one is a new origin, so that the
numbers it gives again are not taken for repeats.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(filepath.Clean(args[0]))
			if err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			return errors.Join(store.Restore(f, args[1]), f.Close())
		},
	}
}

func newDataCompact() *cobra.Command {
	return &cobra.Command{
		Use:   "compact DIR",
		Short: "Give free space inside the database back to the disk",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, after, err := store.Compact(args[0])
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d bytes, before %d\n", after, before)
			}
			return err
		},
	}
}
