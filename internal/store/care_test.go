package store

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"mangrove/internal/batch"
)

func TestCheck(t *testing.T) {
	dir := closedStore(t, 500)
	r, err := Check(dir)
	if err != nil || r.Found != 0 || r.Bodies != 500 || r.References != 500 || r.Records[batch.Queues] != 500 || r.Loose != 0 {
		t.Errorf("got %+v, %v, want 500 records with a body each", r, err)
	}
	edit(t, dir, func(tx *bolt.Tx) error { return tx.Bucket(bodiesBucket).Delete(bodyKey(7)) })
	edit(t, dir, func(tx *bolt.Tx) error { return tx.Bucket(bucketName(batch.Queues)).Put([]byte("odd"), []byte{77}) })
	edit(t, dir, func(tx *bolt.Tx) error { return tx.Bucket(bucketName(batch.Queues)).Delete([]byte("key 000009")) })
	r, err = Check(dir)
	if err != nil || r.Found != 2 || r.Loose != 1 || !strings.Contains(fmt.Sprint(r.Problems), "body 7") {
		t.Errorf("got %+v, %v, want two problems and a loose body", r, err)
	}
	if _, err := Check(t.TempDir()); err == nil {
		t.Error("an empty folder: got no error")
	}
}

func TestBackupAndRestore(t *testing.T) {
	s := openTest(t, Config{})
	put := func(n int) {
		must(t, commit(t, s, func(b *batch.Batch) {
			b.PutRef(batch.Queues, fmt.Append(nil, n), uint64(n), nil, body(fmt.Sprint("body ", n)))
		}))
	}
	for n := range 50 {
		put(1 + n)
	}
	var backup bytes.Buffer
	must(t, s.Backup(&backup))
	put(100) // after the backup
	dir := t.TempDir()
	must(t, Restore(bytes.NewReader(backup.Bytes()), dir))
	if err := Restore(bytes.NewReader(backup.Bytes()), dir); err == nil {
		t.Error("restore over a store: got no error")
	}
	if r, err := Check(dir); err != nil || r.Found != 0 || r.Bodies != 50 {
		t.Errorf("got %+v, %v, want 50 bodies", r, err)
	}
	restored := openTest(t, Config{Dir: dir})
	if restored.ID() == s.ID() {
		t.Error("the restored store has the id of the first one")
	}
	if got, err := restored.Body(50); err != nil || string(got) != "body 50" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := Restore(strings.NewReader("no backup"), t.TempDir()); err == nil {
		t.Error("restore of something else: got no error")
	}
}

func TestCompact(t *testing.T) {
	dir := closedStore(t, 2000)
	s, err := Open(Config{Dir: dir})
	must(t, err)
	must(t, commit(t, s, func(b *batch.Batch) { b.DeleteRange(batch.Queues, []byte("key 000100"), nil) }))
	must(t, s.Close())
	before, after, err := Compact(dir)
	info, statErr := os.Stat(dir + "/" + dataFile)
	if err != nil || statErr != nil || after*2 > before || info.Size() > before/2 {
		t.Errorf("got %d bytes from %d, %v, %v, want less than half", after, before, err, statErr)
	}
	if r, err := Check(dir); err != nil || r.Found != 0 || r.Bodies != 100 {
		t.Errorf("got %+v, %v, want 100 bodies", r, err)
	}
}
