package cli

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mangrove/internal/batch"
	"mangrove/internal/control"
	"mangrove/internal/store"
)

// data runs one of the data commands.
func data(stdin []byte, args ...string) (stdout []byte, stderr string, code int) {
	var out, errs bytes.Buffer
	root := NewData("mangrove")
	root.SetIn(bytes.NewReader(stdin))
	root.SetOut(&out)
	code = Execute(root, args, &errs)
	return out.Bytes(), errs.String(), code
}

// wantData runs a command that succeeds and writes want.
func wantData(t *testing.T, want string, args ...string) {
	t.Helper()
	if out, errs, code := data(nil, args...); code != 0 || !strings.Contains(string(out), want) {
		t.Errorf("data %s: got exit code %d, %q, %q, want %q", args, code, out, errs, want)
	}
}

// wantNoData runs a command that fails and says why.
func wantNoData(t *testing.T, why string, args ...string) {
	t.Helper()
	if _, errs, code := data(nil, args...); code == 0 || !strings.Contains(errs, why) {
		t.Errorf("data %s: got exit code %d and %q, want an error with %q", args, code, errs, why)
	}
}

// folder is a data folder with a record.
func folder(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "node")
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	b := s.NewBatch()
	b.Put(batch.Sessions, []byte("client"), []byte("record"))
	s.Commit(b)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDataOfAStoppedNode(t *testing.T) {
	node, other := folder(t), t.TempDir()
	file, copied := filepath.Join(other, "file"), filepath.Join(other, "copy")
	wantData(t, "1 records, 0 message bodies", "check", node)
	wantData(t, "file: ", "backup", node, file)
	wantNoData(t, "is there already", "backup", node, file)
	wantData(t, "", "restore", file, copied)
	wantData(t, "bytes, before", "compact", copied)
	wantData(t, "1 records", "check", copied)
	wantNoData(t, "restore to an empty folder", "restore", file, copied)
	wantNoData(t, "no such file", "check", other+"/none")
	wantNoData(t, "no such file", "backup", other+"/none", other+"/x")
	wantNoData(t, "is no data folder", "backup", other, other+"/x")
	left, err := filepath.Glob(filepath.Join(other, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("got %v left behind, %v", left, err)
	}
}

func TestBackupThroughPipes(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "copy")
	out, errs, code := data(nil, "backup", folder(t), "-")
	if code != 0 || len(out) == 0 {
		t.Fatalf("backup: got exit code %d, %d bytes, %q", code, len(out), errs)
	}
	if _, errs, code := data(out, "restore", "-", copied); code != 0 {
		t.Fatalf("restore: got exit code %d, %q", code, errs)
	}
	wantData(t, "1 records", "check", copied)
	if _, errs, code := data(out[:len(out)/2], "restore", "-", copied+"2"); code == 0 || !strings.Contains(errs, "the backup is no good") {
		t.Errorf("half a backup: got exit code %d, %q", code, errs)
	}
}

// A node that runs is backed up by itself; what needs the folder alone says so.
func TestDataOfARunningNode(t *testing.T) {
	dir, other := folder(t), t.TempDir()
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantNoData(t, "it has no control.sock", "backup", dir, other+"/early")
	c, err := control.Serve(control.Config{Dir: dir, Backup: s.Backup})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantData(t, "file: ", "backup", dir, other+"/file")
	wantData(t, "", "restore", other+"/file", other+"/copy")
	wantData(t, "1 records", "check", other+"/copy")
	wantNoData(t, "stop the node first", "check", dir)
	wantNoData(t, "only while its node is stopped", "compact", dir)
}

// What root makes in the folder of another user belongs to that user.
func TestDataCommandsKeepTheOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir, file := folder(t), filepath.Join(t.TempDir(), "file")
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	wantData(t, "1 records", "check", dir)
	wantData(t, "file: ", "backup", dir, file)
	wantData(t, "bytes, before", "compact", dir)
	wantOwner(t, 12345, dir)
	restored := t.TempDir()
	if err := os.Chown(restored, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	wantData(t, "", "restore", file, restored)
	wantOwner(t, 12345, restored)
}

func wantOwner(t *testing.T, uid uint32, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != uid {
			t.Errorf("%s belongs to %d, want %d", path, info.Sys().(*syscall.Stat_t).Uid, uid)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
