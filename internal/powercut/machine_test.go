package powercut

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"mangrove/bridge"
	"mangrove/internal/sim"
	"mangrove/internal/store"
	"mangrove/internal/wal"
	"mangrove/mqtt/router"
	"mangrove/retain"
	"mangrove/session"
)

// machine is a computer with a node on it, whose power goes and comes back.
type machine struct {
	rng    *rand.Rand   // of the power cuts
	swap   sync.RWMutex // of disk, while the machine is off
	disk   *sim.Disk
	folder string
	boots  int
	lying  bool // once the node has started, syncs of files do nothing

	durability router.Durability

	mu     sync.Mutex
	data   []byte     // what is on the disk of the database; nil = nothing
	finish bool       // the checkpoint under way when the power goes counts as done
	sway   *rand.Rand // who runs while a sync takes its time
	up     bool       // the store is open
	serves bool       // all is open, so neighbours may come

	store    *store.Store
	retained *retain.Store
	router   *router.Router
	sessions *session.Manager
	links    *bridge.Bridge // nil = there are no neighbours
	meet     func() (*bridge.Bridge, error)
	seeds    []string // where an edge finds its core
}

func newMachine(folder string, seed uint64, lying bool) *machine {
	return &machine{rng: rand.New(rand.NewPCG(seed, 1)), sway: rand.New(rand.NewPCG(seed, 2)), disk: sim.NewDisk(), folder: folder, lying: lying}
}

// put gives the machine, which is off, another disk and another database; nil = none.
func (m *machine) put(disk *sim.Disk, data []byte) {
	m.swap.Lock()
	defer m.swap.Unlock()
	m.disk, m.data = disk, data
}

// gone tells whether there is no power any more. A neighbour may ask while the disk is changed.
func (m *machine) gone() bool {
	m.swap.RLock()
	defer m.swap.RUnlock()
	_, err := m.disk.List()
	return err != nil
}

var errPower = errors.New("the power went")

// boot starts the node on what the disk has. errPower tells that it did not get far enough.
func (m *machine) boot() error {
	dir, err := m.lay()
	if err != nil {
		return err
	}
	m.finish = m.rng.IntN(2) == 0
	m.setUp(false)
	m.links = nil
	m.store, err = store.Open(store.Config{Dir: dir, SegmentBytes: 8 << 10, CheckpointBytes: 6 << 10,
		Faults: &store.Faults{Log: files{m}, Commit: m.commit}})
	if err := errors.Join(err, m.keep(dir)); err != nil {
		return m.blame(err)
	}
	m.setUp(true)
	m.retained, err = retain.New(retain.Config{Store: m.store})
	if err != nil {
		return m.blame(errors.Join(err, m.store.Close()))
	}
	m.router = router.New(router.Config{Life: m.store.Life(), NextID: m.store.NextID, Retained: m.retained, Durability: m.durability})
	if m.meet != nil {
		if m.links, err = m.meet(); err != nil {
			return m.blame(errors.Join(err, m.retained.Close(), m.store.Close()))
		}
	}
	m.sessions, err = session.New(session.Config{Store: m.store, Router: m.router})
	if err != nil {
		return m.blame(errors.Join(err, m.closeLinks(), m.retained.Close(), m.store.Close()))
	}
	m.serve(true)
	return nil
}

// serve has neighbours come, or not any more. Before the sessions are there nobody would take what a neighbour brings.
func (m *machine) serve(on bool) {
	m.mu.Lock()
	m.serves = on
	m.mu.Unlock()
	if on && m.seeds != nil {
		m.links.SetCores(m.seeds, false)
	}
}

// accepting are the links, once neighbours may come; else nil.
func (m *machine) accepting() *bridge.Bridge {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.serves {
		return nil
	}
	return m.links
}

func (m *machine) closeLinks() error {
	if m.links == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return m.links.Close(ctx)
}

func (m *machine) setUp(up bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up = up
}

// blame tells an error that a power cut explains from one that it does not.
func (m *machine) blame(err error) error {
	if m.gone() {
		return errPower
	}
	return fmt.Errorf("start: %w", err)
}

// lay puts what is left of the database into a folder of its own: the process of the life before may hold on to its files.
func (m *machine) lay() (dir string, err error) {
	m.boots++
	dir = filepath.Join(m.folder, fmt.Sprint(m.boots))
	if err := os.MkdirAll(dir, 0o700); err != nil || m.data == nil {
		return dir, err
	}
	return dir, os.WriteFile(database(dir), m.data, 0o600)
}

func database(dir string) string { return filepath.Join(dir, "state.db") }

// keep takes what the database is now as what is on the disk. No transaction is under way.
func (m *machine) keep(dir string) error {
	b, err := os.ReadFile(database(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = b
	return err
}

// commit is the commit of a checkpoint: when the power is gone by then, it did not happen, or it had happened just before.
func (m *machine) commit(commit, rollback func() error) error {
	if m.gone() && !m.finish {
		return errors.Join(rollback(), errPower)
	}
	if err := commit(); err != nil {
		return err
	}
	return m.keep(filepath.Join(m.folder, fmt.Sprint(m.boots)))
}

// stop ends the node. Without power nothing of it reaches the disk, and what it says does not matter.
func (m *machine) stop() error {
	m.serve(false)
	m.sessions.Close()
	err := errors.Join(m.closeLinks(), m.retained.Close(), m.store.Close())
	if m.gone() {
		return nil
	}
	return err
}

// files is the machine's disk as the log sees it. While a sync takes its time, others run.
type files struct{ m *machine }

func (f files) List() ([]string, error)       { return f.m.disk.List() }
func (f files) Rename(old, name string) error { return f.m.disk.Rename(old, name) }
func (f files) Remove(name string) error      { return f.m.disk.Remove(name) }
func (f files) SyncDir() error                { return f.m.disk.SyncDir() }

func (f files) Open(name string, create bool) (wal.File, error) {
	open, err := f.m.disk.Open(name, create)
	if err != nil {
		return nil, err
	}
	return file{open, f.m}, nil
}

type file struct {
	*sim.DiskFile
	m *machine
}

func (f file) Sync() error {
	f.m.mu.Lock()
	turns, lying := f.m.sway.IntN(4), f.m.lying && f.m.up
	f.m.mu.Unlock()
	for range turns {
		runtime.Gosched()
	}
	if lying {
		return nil
	}
	return f.DiskFile.Sync()
}
