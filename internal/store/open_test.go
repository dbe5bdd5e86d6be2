package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
)

func TestOpenMakesFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := openTest(t, Config{Dir: dir})
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Seen, []byte("k"), nil) }))
	if _, err := Open(Config{}); err == nil {
		t.Error("no folder: got no error")
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(Config{Dir: file}); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("a file instead of a folder: got %v", err)
	}
	if _, err := Open(Config{Dir: dir, MaxGroupBytes: -1}); err == nil {
		t.Error("a negative bound: got no error")
	}
}

func TestSameFolderTwiceInOneProcess(t *testing.T) {
	dir := t.TempDir()
	openTest(t, Config{Dir: dir})
	if _, err := Open(Config{Dir: dir, LockTimeout: time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

// A database that was being made when the process was killed is made anew.
func TestHalfMadeDatabase(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, newFile), []byte("half"), 0o600))
	s := openTest(t, Config{Dir: dir})
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Seen, []byte("k"), nil) }))
	if _, err := os.Stat(filepath.Join(dir, newFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that %s is gone", err, newFile)
	}
}

// edit changes the database of a closed store.
func edit(t *testing.T, dir string, fn func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := openBolt(filepath.Join(dir, dataFile), nil)
	must(t, err)
	must(t, errors.Join(db.Update(fn), db.Close()))
}

func closedStore(t *testing.T, records int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := Open(Config{Dir: dir})
	must(t, err)
	must(t, commit(t, s, func(b *batch.Batch) {
		for i := range records {
			b.PutRef(batch.Queues, fmt.Appendf(nil, "key %06d", i), uint64(i), nil, body(strings.Repeat("body ", i%2000)))
		}
	}))
	must(t, s.Close())
	return dir
}

func TestNewerFormatIsRefused(t *testing.T) {
	dir := closedStore(t, 1)
	edit(t, dir, func(tx *bolt.Tx) error { return putNumber(tx.Bucket(metaBucket), metaFormat, Format+1) })
	_, err := Open(Config{Dir: dir})
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint("format ", Format+1)) {
		t.Errorf("got %v, want ErrNewer with folder and format", err)
	}
	// It was not changed, and can be opened again by who understands it.
	edit(t, dir, func(tx *bolt.Tx) error { return putNumber(tx.Bucket(metaBucket), metaFormat, Format) })
	openTest(t, Config{Dir: dir})
}

// The version before stops at the first log record of a table that it does not know, instead of saying that the folder is a
// newer version's, unless Format has risen with the table.
func TestATableMoreRaisesFormat(t *testing.T) {
	last := map[int]batch.Table{1: 9, 2: 9, 3: 9} // by Format
	if got, ok := last[Format]; !ok || got != batch.LastTable {
		t.Errorf("Format %d has tables up to %d, batch.LastTable is %d: raise Format, say in format.go what changed, add the pair here",
			Format, got, batch.LastTable)
	}
}

func TestFolderOfAnEarlierVersionGetsItsTables(t *testing.T) {
	dir := closedStore(t, 1)
	edit(t, dir, func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketName(batch.LastTable)) })
	s := openTest(t, Config{Dir: dir})
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.LastTable, []byte("k"), []byte("v")) }))
}

func TestNoStoreInsideIsRefused(t *testing.T) {
	for name, fn := range map[string]func(tx *bolt.Tx) error{
		"no meta":   func(tx *bolt.Tx) error { return tx.DeleteBucket(metaBucket) },
		"no format": func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Delete(metaFormat) },
		"no id":     func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Delete(metaID) },
	} {
		dir := closedStore(t, 1)
		edit(t, dir, fn)
		if _, err := Open(Config{Dir: dir}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}

func TestDamagedFileIsRefused(t *testing.T) {
	dir := closedStore(t, 500)
	path := filepath.Join(dir, dataFile)
	whole, err := os.ReadFile(path)
	must(t, err)
	for name, content := range map[string][]byte{
		"empty":       {},
		"short":       whole[:100],
		"one page":    whole[:pageSize],
		"cut":         whole[:len(whole)/4],
		"garbage":     bytes.Repeat([]byte("garbage "), 10_000),
		"zeros":       make([]byte, len(whole)),
		"both heads":  append(make([]byte, 2*pageSize), whole[2*pageSize:]...),
		"pages zero":  append(whole[:2*pageSize:2*pageSize], make([]byte, len(whole)-2*pageSize)...),
		"pages moved": append(whole[:2*pageSize:2*pageSize], append(make([]byte, 64), whole[2*pageSize:]...)...),
	} {
		must(t, os.WriteFile(path, content, 0o600))
		_, err := Open(Config{Dir: dir})
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
			continue
		}
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "restore a backup") {
			t.Errorf("%s: got %q, want it to say which file and what to do", name, err)
		}
	}
	// One head is enough.
	for page := range 2 {
		one := bytes.Clone(whole)
		copy(one[page*pageSize:], make([]byte, pageSize))
		must(t, os.WriteFile(path, one, 0o600))
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Errorf("head %d lost: got %v", page, err)
			continue
		}
		must(t, s.Close())
	}
}

// Whatever bytes a file has, opening and reading it ends in an error at worst.
func TestRandomDamageDoesNotCrash(t *testing.T) {
	dir := closedStore(t, 300)
	path := filepath.Join(dir, dataFile)
	whole, err := os.ReadFile(path)
	must(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 200 {
		damaged := bytes.Clone(whole)
		for range 1 + r.IntN(4) {
			page := 2 + r.IntN(len(whole)/pageSize-2)
			at := page*pageSize + r.IntN(256) // headers and elements are at the start
			damaged[at] = byte(r.Uint32())
		}
		must(t, os.WriteFile(path, damaged, 0o600))
		s, err := Open(Config{Dir: dir})
		if err != nil {
			refused++
			continue
		}
		for table := batch.Table(1); table <= batch.LastTable; table++ {
			_ = s.Scan(table, nil, nil, func(k, v []byte) bool { return true }) // any outcome but a crash
		}
		must(t, s.Close())
	}
	if refused == 0 {
		t.Error("no damage was noticed in 200 tries")
	}
	t.Logf("%d of 200 damaged files refused", refused)
}

func TestNextID(t *testing.T) {
	dir := t.TempDir()
	const block = 100
	seen := map[uint64]bool{}
	var highest uint64
	for round := range 4 {
		s, err := open(Config{Dir: dir}, block)
		must(t, err)
		var mu sync.Mutex
		var wg sync.WaitGroup
		floor := highest
		for range 4 {
			wg.Go(func() {
				last := uint64(0)
				for range 500 {
					id := s.NextID()
					mu.Lock()
					if id == 0 || id <= last || id <= floor || seen[id] {
						t.Errorf("round %d: got %d after %d, floor %d, seen %v", round, id, last, floor, seen[id])
					}
					seen[id], last, highest = true, id, max(highest, id)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		must(t, s.Close())
	}
	if len(seen) != 4*4*500 {
		t.Errorf("got %d numbers, want %d", len(seen), 4*4*500)
	}
}

// What was given is below what is on disk at every moment.
func TestNextIDStaysBelowTheReservation(t *testing.T) {
	s, err := open(Config{Dir: t.TempDir()}, 10)
	must(t, err)
	defer s.Close()
	for range 200 {
		id := s.NextID()
		s.deltas.mu.Lock()
		limit := s.deltas.active.limit // it is in the log
		s.deltas.mu.Unlock()
		must(t, s.read(func(tx *bolt.Tx) error {
			next, _ := getNumber(tx.Bucket(metaBucket), metaNext)
			limit = max(limit, next)
			return nil
		}))
		if id > limit {
			t.Fatalf("got %d, but only %d are reserved on disk", id, limit)
		}
	}
}

func TestHealthOnWriteErrors(t *testing.T) {
	reg := metrics.New()
	s := openTest(t, Config{Metrics: reg, MaxFileBytes: 256 << 10})
	big := func(b *batch.Batch) { b.Put(batch.Queues, []byte("big"), make([]byte, 1<<20)) }
	if err := commit(t, s, big); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	for deadline := time.Now().Add(10 * time.Second); s.Healthy() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the probe did not make the store healthy within 10 s")
		}
	}
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("small"), nil) }))
	if got := reg.Counter(`mangrove_store_errors_total{kind="full"}`).Get(); got != 1 {
		t.Errorf("got %d errors counted, want 1", got)
	}
}

// While a full store is emptied message by message it stays full, until there is room for more than the next few.
func TestFullIsSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 1 << 20
		s := openTest(t, Config{MaxFileBytes: bound})
		n := 0
		put := func() error {
			return commit(t, s, func(b *batch.Batch) { n++; b.Put(batch.Queues, fmt.Append(nil, n), make([]byte, 4000)) })
		}
		for put() == nil {
		}
		for removed := 0; removed < bound/16-8000; removed += 4000 {
			must(t, commit(t, s, func(b *batch.Batch) { b.Delete(batch.Queues, fmt.Append(nil, removed/4000+1)) }))
			checkpointNow(t, s)
			time.Sleep(2 * maxPause)
			if synctest.Wait(); !errors.Is(s.Healthy(), ErrFull) {
				t.Fatalf("after %d bytes were removed the store is healthy: %v", removed, s.Healthy())
			}
		}
		must(t, commit(t, s, func(b *batch.Batch) { b.DeleteRange(batch.Queues, nil, nil) }))
		time.Sleep(2 * maxPause)
		if synctest.Wait(); s.Healthy() != nil {
			t.Errorf("empty again, and got %v", s.Healthy())
		}
	})
}

// What there is no room for is refused by itself: what only removes, or is small, goes on.
func TestRefusedBatchChangesNothing(t *testing.T) {
	s := openTest(t, Config{MaxFileBytes: 256 << 10})
	must(t, commit(t, s, func(b *batch.Batch) { b.PutRef(batch.Queues, []byte("old"), 1, nil, body("one")) }))
	g := newGate()
	g.hold(s)
	w := newTold()
	for _, fill := range []func(b *batch.Batch){
		func(b *batch.Batch) {
			b.PutRef(batch.Queues, []byte("big"), 3, nil, body(strings.Repeat("x", 1<<20)))
			b.Delete(batch.Queues, []byte("old"))
		},
		func(b *batch.Batch) { b.PutRef(batch.Queues, []byte("new"), 2, nil, body("two")) },
		func(b *batch.Batch) { b.Delete(batch.Queues, []byte("new")) },
	} {
		b := s.NewBatch()
		fill(b)
		b.Notify(w, 0)
		s.Commit(b)
	}
	close(g.open)
	for _, want := range []error{ErrFull, nil, nil} {
		if err := w.wait(t); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if v, err := s.Body(1); err != nil || string(v) != "one" {
		t.Errorf("got %q, %v, want the body of before", v, err)
	}
	if get(t, s, batch.Queues, "big") != "" || get(t, s, batch.Queues, "old") == "" {
		t.Error("a part of the refused batch was done")
	}
}

// checkpointNow has the writer freeze what there is, and waits until it is in the database.
func checkpointNow(t testing.TB, s *Store) {
	t.Helper()
	before := s.count.checkpoints.Get()
	if active, frozen := s.deltas.size(); active.logged+frozen.logged == 0 {
		return
	}
	s.ckpt.asked.Store(true)
	s.wake.Ring()
	for deadline := time.Now().Add(20 * time.Second); s.count.checkpoints.Get() == before; time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("got no checkpoint within 20 s")
		}
	}
}

func TestPanicInTheDatabaseIsFatal(t *testing.T) {
	fatal := make(chan error, 1)
	s := openTest(t, Config{OnFatal: func(err error) { fatal <- err }})
	g := newGate()
	g.hold(s)
	s.ckpt.commit = func(*bolt.Tx) error { panic("page 7 already freed") } // nothing freezes while the writer waits in the gate
	s.ckpt.asked.Store(true)
	close(g.open)
	if err := <-fatal; !strings.Contains(err.Error(), "page 7") {
		t.Errorf("got %v, want what was panicked", err)
	}
	if err := s.Healthy(); !errors.Is(err, ErrFatal) {
		t.Errorf("got %v, want ErrFatal", err)
	}
	if _, err := s.Get(batch.Queues, []byte("k")); !errors.Is(err, ErrFatal) {
		t.Errorf("read: got %v, want ErrFatal", err)
	}
	if err := commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("k"), nil) }); !errors.Is(err, ErrFatal) {
		t.Errorf("later: got %v, want ErrFatal", err)
	}
}

func TestJudge(t *testing.T) {
	path := func(op string, errno syscall.Errno) error { return &os.PathError{Op: op, Path: "f", Err: errno} }
	for _, c := range []struct {
		err  error
		want severity
	}{
		{path("write", syscall.ENOSPC), full},
		{path("write", syscall.EDQUOT), full},
		{path("write", syscall.EIO), refused},
		{path("write", syscall.EROFS), refused},
		{syscall.EIO, fatal},
		{syscall.ENOSPC, fatal}, // from fdatasync
		{path("sync", syscall.ENOSPC), fatal},
		{fmt.Errorf("file resize error: %s", path("truncate", syscall.EFBIG)), full},
		{fmt.Errorf("file resize error: %s", path("truncate", syscall.EIO)), refused},
		{fmt.Errorf("file sync error: %s", path("sync", syscall.EIO)), fatal},
		{errors.New("anything else"), fatal},
	} {
		if got := judge(c.err); got != c.want {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
}

// A real file system that is full: a tmpfs, which needs root to mount.
func TestFullFileSystem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 6<<20), 0o600))
	s := openTest(t, Config{Dir: filepath.Join(dir, "data"), SegmentBytes: 128 << 10})
	stable := 0
	var err error
	for ; err == nil; stable++ {
		err = commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, fmt.Append(nil, stable), make([]byte, 50_000)) })
	}
	if !errors.Is(err, ErrFull) || !errors.Is(s.Healthy(), ErrFull) {
		t.Fatalf("got %v, healthy %v, want ErrFull", err, s.Healthy())
	}
	stable--
	must(t, os.Remove(ballast))
	for deadline := time.Now().Add(10 * time.Second); s.Healthy() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not healthy 10 s after space came back: %v", s.Healthy())
		}
	}
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("more"), make([]byte, 500_000)) }))
	must(t, s.Close())
	s = openTest(t, Config{Dir: filepath.Join(dir, "data")})
	for i := range stable {
		if v, err := s.Get(batch.Queues, fmt.Append(nil, i)); err != nil || len(v) != 50_000 {
			t.Errorf("record %d: got %d bytes, %v", i, len(v), err)
		}
	}
}
