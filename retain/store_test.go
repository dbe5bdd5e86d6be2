package retain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a Store under test with what it stands on.
type bench struct {
	testing.TB
	*Store
	disk *store.Store // nil = in memory only
	cfg  Config
	next uint64
}

// eachKind runs a test with and without a store below.
func eachKind(t *testing.T, run func(b *bench)) {
	t.Run("disk", func(t *testing.T) { run(start(t, true, Config{})) })
	t.Run("small cache", func(t *testing.T) { run(start(t, true, Config{CacheBytes: -1})) })
	t.Run("memory", func(t *testing.T) { run(start(t, false, Config{})) })
}

func start(t testing.TB, disk bool, cfg Config) *bench {
	t.Helper()
	b := &bench{TB: t, cfg: cfg}
	if disk {
		b.disk = openDisk(t, store.Config{Dir: t.TempDir()})
	}
	b.open()
	t.Cleanup(func() {
		b.Store.Close()
		if b.disk != nil {
			if err := b.disk.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return b
}

func openDisk(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	disk, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return disk
}

// open starts the Store (again) on what is below.
func (b *bench) open() {
	b.Helper()
	if b.Store != nil {
		b.Store.Close()
	}
	b.cfg.Store = b.disk
	s, err := New(b.cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Store = s
}

func (b *bench) message(topic, payload string) *mqtt.Message {
	b.next++
	return &mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: true, ID: b.next, Origin: mqtt.Origin{Life: 9, Seq: b.next}}
}

// set sets m and waits until all is settled.
func (b *bench) set(m *mqtt.Message) error {
	b.Helper()
	err := b.publish(m)
	b.settled(m.Topic)
	return err
}

// publish sets m and waits until the receipt is done.
func (b *bench) publish(m *mqtt.Message) error {
	b.Helper()
	var writes *batch.Batch
	if b.disk != nil {
		writes = b.disk.NewBatch()
	}
	done := make(chan error, 1)
	r := mqtt.NewReceipt(writes, func(err error) { done <- err })
	b.Store.Set(m, r)
	r.Close()
	if writes != nil {
		b.disk.Commit(writes)
	}
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		b.Fatal("the receipt was not done within 20 s")
		return nil
	}
}

func (b *bench) put(topic, payload string) *mqtt.Message {
	b.Helper()
	m := b.message(topic, payload)
	if err := b.set(m); err != nil {
		b.Fatal(err)
	}
	return m
}

// match returns "topic=payload" of what filter finds, sorted.
func (b *bench) match(filter string) string { return b.matchAt(filter, time.Now()) }

func (b *bench) matchAt(filter string, now time.Time) string {
	var got []string
	b.Match(filter, now, func(m *mqtt.Message) bool {
		got = append(got, m.Topic+"="+string(m.Payload))
		return true
	})
	slices.Sort(got)
	return strings.Join(got, " ")
}

func (b *bench) want(filter, want string) {
	b.Helper()
	if got := b.match(filter); got != want {
		b.Errorf("%s: got %q, want %q", filter, got, want)
	}
}

func TestStore(t *testing.T) {
	eachKind(t, func(b *bench) {
		b.put("a/b", "1")
		b.put("a/c", "2")
		b.put("a", "3")
		b.want("a/+", "a/b=1 a/c=2")
		b.put("a/b", "4") // replaces [MQTT-3.3.1-5]
		b.want("a/#", "a/b=4 a/c=2 a=3")
		b.put("a/c", "") // forgets [MQTT-3.3.1-6]
		b.want("#", "a/b=4 a=3")
		b.put("nothing/there", "")
		if b.Len() != 2 {
			b.Errorf("got %d messages, want 2", b.Len())
		}
		if b.disk != nil {
			b.open()
			b.want("#", "a/b=4 a=3")
			b.put("a", "")
			b.open()
			b.want("#", "a/b=4")
		}
		b.put("a", "")
		b.put("a/b", "")
		if b.Len() != 0 || b.Bytes() != 0 {
			b.Errorf("got %d messages of %d bytes, want none", b.Len(), b.Bytes())
		}
		b.Sweep(time.Now().Add(DefaultClearedKeep + time.Second))
		if !b.root.children.empty() || b.Cleared() != 0 {
			b.Errorf("nodes are left in the empty trie, %d clearings", b.Cleared())
		}
	})
}

func TestMatch(t *testing.T) {
	topics := []string{"/", "/a", "a", "a/", "a//b", "a/b", "a/b/c", "b/b", "$SYS/x", "$SYS/x/y", "$x", "a/$x"}
	filters := []string{"#", "+", "+/+", "/+", "/#", "a/#", "a/+", "a/+/+", "+/b", "+/b/#", "a/b", "$SYS/#", "$SYS/+", "+/x", "$x", "none", "a//b", "a/$x", "+/#", "a/+/#"}
	eachKind(t, func(b *bench) {
		for _, topic := range topics {
			b.put(topic, "v")
		}
		for _, filter := range filters {
			var want []string
			for _, topic := range topics {
				if matches(filter, topic) {
					want = append(want, topic+"=v")
				}
			}
			slices.Sort(want)
			b.want(filter, strings.Join(want, " "))
		}
	})
}

// matches is the plain rule, level by level.
func matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && strings.ContainsAny(filter[:1], "#+") {
		return false // [MQTT-4.7.2-1]
	}
	f, n := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return len(n) >= i
		}
		if i >= len(n) || level != "+" && level != n[i] {
			return false
		}
	}
	return len(f) == len(n)
}

func TestMessageComesBackWhole(t *testing.T) {
	eachKind(t, func(b *bench) {
		buf := []byte("payload")
		m := b.message("t", "")
		m.Payload = buf
		m.QoS = 2
		m.Expires = time.Now().Add(time.Hour).Truncate(time.Millisecond)
		m.Props = &packet.Properties{Set: 1 << packet.PropContentType, ContentType: "text/plain"}
		if err := b.set(m); err != nil {
			b.Fatal(err)
		}
		buf[0] = 'X' // a buffer of the publisher is not held on to
		found := 0
		b.Match("t", time.Now(), func(got *mqtt.Message) bool {
			found++
			if string(got.Payload) != "payload" || got.QoS != 2 || !got.Retain || got.Expires.Sub(m.Expires).Abs() > time.Millisecond ||
				got.ID != m.ID || got.Origin != m.Origin || got.Props == nil || got.Props.ContentType != "text/plain" {
				b.Errorf("got %+v, want %+v", got, m)
			}
			return true
		})
		if found != 1 {
			b.Errorf("got %d messages, want 1", found)
		}
	})
}

func TestMatchStopsWhenTold(t *testing.T) {
	eachKind(t, func(b *bench) {
		for i := range 500 {
			b.put(fmt.Sprint("a/", i), "x")
		}
		n := 0
		b.Match("a/+", time.Now(), func(*mqtt.Message) bool { n++; return n < 200 })
		if n != 200 {
			b.Errorf("got %d visits, want 200", n)
		}
	})
}

// settled waits until nothing of the topic is open: waiters are told one after the other.
func (b *bench) settled(topic string) {
	b.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		b.mu.RLock()
		open := b.unsettledLocked(topic)
		b.mu.RUnlock()
		if !open {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s was not settled within 10 s", topic)
		}
	}
}

func TestRepeatsChangeNothing(t *testing.T) {
	eachKind(t, func(b *bench) {
		m := b.put("a", "1")
		again := *m
		again.Payload, again.ID = []byte("other"), 77
		if err := b.set(&again); err != nil {
			b.Fatal(err)
		}
		b.want("a", "a=1")
		if !b.Holds("a", m.Origin) || b.Holds("a", mqtt.Origin{Life: 1, Seq: 1}) || b.Holds("b", m.Origin) {
			b.Error("Holds does not tell what is retained")
		}
	})
}

// A repeat of what is not stable yet is acknowledged when it is stable itself. [promise P1]
func TestRepeatBeforeTheFirstIsStable(t *testing.T) {
	b := start(t, true, Config{})
	m := b.message("a", "1")
	done := make(chan error, 1)
	first, again := b.disk.NewBatch(), b.disk.NewBatch()
	r := mqtt.NewReceipt(again, func(err error) { done <- err })
	b.Set(m, mqtt.NewReceipt(first, nil))
	b.Set(m, r)
	if r.Close(); len(done) > 0 {
		t.Fatalf("got an answer (%v) before the repeat is stable", <-done)
	}
	b.disk.Commit(again)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.disk.Commit(first)
	b.settled("a")
	b.open()
	b.want("a", "a=1")
}

// What is in memory beside the store stays within the bound: the oldest messages go, and are read from the store. [promise P6]
func TestCacheIsBounded(t *testing.T) {
	size := int64((&mqtt.Message{Topic: "a/100", Payload: make([]byte, 100)}).Size())
	limit := largeShare * size
	b := start(t, true, Config{CacheBytes: limit})
	for i := range 10 * largeShare {
		b.put(fmt.Sprint("a/", i), strings.Repeat("x", 100))
	}
	b.mu.RLock()
	inMemory, bytes := 0, b.cache.bytes
	for _, e := range b.root.match("#", false, nil) {
		if e.msg.Load() != nil {
			inMemory++
		}
	}
	b.mu.RUnlock()
	if bytes > limit || inMemory == 0 || inMemory > largeShare {
		t.Errorf("got %d bytes of %d messages in memory, want at most %d", bytes, inMemory, limit)
	}
	b.want("a/0", "a/0="+strings.Repeat("x", 100))
}

func TestExpiry(t *testing.T) {
	eachKind(t, func(b *bench) {
		now := time.Now()
		for i := range 600 {
			m := b.message(fmt.Sprint("a/", i), "x")
			if i%2 == 0 {
				m.Expires = now.Add(time.Hour)
			}
			if err := b.set(m); err != nil {
				b.Fatal(err)
			}
		}
		later := now.Add(2 * time.Hour)
		if got := strings.Count(b.matchAt("a/+", later), "="); got != 300 {
			b.Errorf("got %d messages after the expiry, want 300", got)
		}
		if b.disk != nil {
			b.open()
		}
		swept := 0
		for n := -1; n != 0; swept += n {
			n = b.Sweep(later)
		}
		if swept != 300 || b.Len() != 300 {
			b.Errorf("got %d swept and %d left, want 300 and 300", swept, b.Len())
		}
		old := b.message("a/1", "late")
		old.Expires = now.Add(-time.Second)
		if err := b.set(old); err != nil {
			b.Fatal(err)
		}
		b.want("a/1", "") // it replaced, and was gone at once
		if b.Len() != 299 {
			b.Errorf("got %d messages, want 299: one that came too late is not kept until it is swept", b.Len())
		}
	})
}

func TestSweeperSweeps(t *testing.T) {
	reg := metrics.New()
	b := start(t, true, Config{SweepEvery: time.Millisecond, Metrics: reg})
	m := b.message("a", "x")
	m.Expires = time.Now().Add(20 * time.Millisecond)
	if err := b.set(m); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); b.Len() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the message was not swept within 10 s")
		}
		time.Sleep(time.Millisecond)
	}
	if got := reg.Counter("mangrove_retained_expired_total").Get(); got != 1 {
		t.Errorf("got %d expired, want 1", got)
	}
}

func TestBounds(t *testing.T) {
	for _, disk := range []bool{true, false} {
		b := start(t, disk, Config{MaxMessages: 3, MaxBytes: 2000})
		for i := range 3 {
			b.put(fmt.Sprint(i), "x")
		}
		if err := b.set(b.message("3", "x")); !errors.Is(err, mqtt.ErrQuota) {
			t.Errorf("a fourth message: got %v, want ErrQuota", err)
		}
		if err := b.set(b.message("2", strings.Repeat("x", 2000))); !errors.Is(err, mqtt.ErrQuota) {
			t.Errorf("too many bytes: got %v, want ErrQuota", err)
		}
		b.want("#", "0=x 1=x 2=x")
		b.put("0", "")
		b.put("3", "y")
		b.want("#", "1=x 2=x 3=y")
	}
}

func TestRollBackWhenTheStoreRefuses(t *testing.T) {
	dir := t.TempDir()
	disk := openDisk(t, store.Config{Dir: dir, MaxFileBytes: 512 << 10})
	b := &bench{TB: t, disk: disk}
	b.open()
	defer func() { b.Store.Close(); disk.Close() }()
	b.put("a", "small")
	if err := b.set(b.message("a", strings.Repeat("x", 1<<20))); !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	if err := b.set(b.message("b", strings.Repeat("x", 1<<20))); !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	b.want("#", "a=small")
	if b.Len() != 1 {
		t.Errorf("got %d messages, want 1", b.Len())
	}
	b.put("a", "")
	b.want("#", "")
	b.open()
	b.want("#", "")
}

func TestSettlingInAnyOrder(t *testing.T) {
	first, second := &entry{topic: "t", id: 1, size: 1, time: 1}, &entry{topic: "t", id: 2, size: 1, time: 2}
	first.msg.Store(new(mqtt.Message))
	second.msg.Store(new(mqtt.Message))
	no := errors.New("no")
	for _, c := range []struct {
		name                string
		order               []*entry
		errs                []error
		wantBetween, wantID uint64
		again               bool
	}{
		{"in order", []*entry{first, second}, []error{nil, nil}, 2, 2, false},
		{"first refused", []*entry{first, second}, []error{no, nil}, 2, 2, false},
		{"second refused", []*entry{first, second}, []error{nil, no}, 2, 1, false},
		{"both refused", []*entry{first, second}, []error{no, no}, 2, 9, false},
		{"the other way round: the disk has the first", []*entry{second, first}, []error{nil, nil}, 2, 2, true},
		{"the other way round, first refused", []*entry{second, first}, []error{nil, no}, 2, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Store{count: newCounters(nil)}
			s.showLocked(s.root.grow("t"), &entry{topic: "t", id: 9, size: 1})
			s.proposeLocked(first)
			s.proposeLocked(second)
			if got := s.latestLocked("t").id; got != 2 {
				t.Errorf("at once: got %d, want 2", got)
			}
			if again := s.settled(c.order[0], c.errs[0]); again != nil {
				t.Error("the first that settles is written again")
			}
			if got := s.latestLocked("t").id; got != c.wantBetween {
				t.Errorf("between: got %d, want %d", got, c.wantBetween)
			}
			if again := s.settled(c.order[1], c.errs[1]); (again != nil) != c.again {
				t.Errorf("written again: got %v, want %v", again != nil, c.again)
			} else if again != nil {
				s.settled(second, nil)
			}
			if got := s.latestLocked("t").id; got != c.wantID {
				t.Errorf("in the end: got %d, want %d", got, c.wantID)
			}
			if s.messages != 1 || s.root.find("t").open != nil {
				t.Errorf("got %d messages, open %v", s.messages, s.root.find("t").open)
			}
		})
	}
}

// What is seen in the end is what a restart finds, whoever was first.
func TestConcurrentPublishers(t *testing.T) {
	b := start(t, true, Config{CacheBytes: 2000})
	var wg sync.WaitGroup
	for p := range 8 {
		wg.Go(func() {
			for i := range 100 {
				m := &mqtt.Message{Topic: fmt.Sprint("t/", i%5), Payload: fmt.Append(nil, p, "-", i), Retain: true,
					ID: b.disk.NextID(), Origin: mqtt.Origin{Life: uint64(p + 1), Seq: uint64(i + 1)}}
				if i%7 == 6 {
					m.Payload = nil
				}
				if err := b.publish(m); err != nil {
					t.Error(err)
				}
				b.Match("#", time.Now(), func(*mqtt.Message) bool { return true })
			}
		})
	}
	wg.Wait()
	for i := range 5 {
		b.settled(fmt.Sprint("t/", i))
	}
	before := b.match("#")
	b.open()
	b.want("#", before)
}

func TestLongTopic(t *testing.T) {
	b := start(t, true, Config{})
	long := strings.Repeat("x", 65_535)
	b.put(long, "1")
	b.put(long[:65_534]+"y", "2")
	b.open()
	b.want(long, long+"=1")
	b.put(long, "")
	b.open()
	b.want("+", long[:65_534]+"y=2")
}

func BenchmarkMatchWildcard(b *testing.B) {
	for _, kind := range []struct {
		name  string
		disk  bool
		cache int64
	}{{"memory", false, 0}, {"cached", true, 64 << 20}, {"from disk", true, -1}} {
		b.Run(kind.name, func(b *testing.B) {
			s := start(b, kind.disk, Config{CacheBytes: kind.cache})
			fill(s, 50_000)
			for b.Loop() {
				n := 0
				s.Match("site/+/temperature", time.Now(), func(*mqtt.Message) bool { n++; return true })
				if n != 50_000 {
					b.Fatalf("got %d, want 50000", n)
				}
			}
		})
	}
}

func BenchmarkMatchOneOf50000(b *testing.B) {
	s := start(b, false, Config{})
	fill(s, 50_000)
	for b.Loop() {
		n := 0
		s.Match("site/4711/+", time.Now(), func(*mqtt.Message) bool { n++; return true })
		if n != 1 {
			b.Fatalf("got %d, want 1", n)
		}
	}
}

// fill retains n messages in few batches.
func fill(s *bench, n int) {
	for i := 0; i < n; {
		var writes *batch.Batch
		if s.disk != nil {
			writes = s.disk.NewBatch()
		}
		done := make(chan error, 1)
		r := mqtt.NewReceipt(writes, func(err error) { done <- err })
		for range min(1000, n-i) {
			s.Set(s.message(fmt.Sprintf("site/%d/temperature", i), `{"value":21.5,"unit":"C"}`), r)
			i++
		}
		r.Close()
		if writes != nil {
			s.disk.Commit(writes)
		}
		if err := <-done; err != nil {
			s.Fatal(err)
		}
	}
}

// Retained messages neither expire by a wall clock that is set, nor stay for ever by it, also over a restart.
func TestWallClockJumps(t *testing.T) {
	ahead := -40 * 365 * 24 * time.Hour
	cfg := store.Config{Dir: t.TempDir(), Wall: func() time.Time { return time.Now().Round(0).Add(ahead) }}
	b := &bench{TB: t, disk: openDisk(t, cfg)}
	b.open()
	m := b.message("t", "x")
	m.Expires = time.Now().Add(time.Hour)
	if err := b.set(m); err != nil {
		t.Fatal(err)
	}
	look := func(why string) {
		t.Helper()
		b.Sweep(time.Now())
		found := 0
		b.Match("t", time.Now(), func(m *mqtt.Message) bool {
			found++
			// Stored times are in milliseconds.
			if left := time.Until(m.Expires); left > time.Hour+time.Millisecond || left < 59*time.Minute {
				t.Errorf("%s: got %v left, want an hour", why, left)
			}
			return true
		})
		if found != 1 {
			t.Fatalf("%s: got %d messages, want 1", why, found)
		}
	}
	restart := func(now time.Duration) {
		t.Helper()
		b.Store.Close()
		if err := b.disk.Close(); err != nil {
			t.Fatal(err)
		}
		ahead = now
		b.disk = openDisk(t, cfg)
		b.Store = nil
		b.open()
	}
	look("in the last century")
	ahead = 0
	look("the time server answered")
	restart(0)
	look("restarted")
	restart(-40 * 365 * 24 * time.Hour)
	look("in the last century again")
	if n := b.Sweep(time.Now().Add(time.Hour)); n != 1 {
		t.Errorf("got %d swept an hour later, want 1", n)
	}
	restart(0)
	b.Store.Close()
	if err := b.disk.Close(); err != nil {
		t.Fatal(err)
	}
}

// Replay leaves out what was set after the subscription, and tells when what it found was replaced or cleared.
func TestReplay(t *testing.T) {
	eachKind(t, func(b *bench) {
		b.put("a", "1")
		b.put("b", "2")
		since := b.next
		b.put("b", "3")
		held := map[string]mqtt.Retention{}
		b.Replay("#", time.Now(), since, func(m *mqtt.Message, h mqtt.Retention) bool {
			held[string(m.Payload)] = h
			return true
		})
		if a := held["1"]; len(held) != 1 || a == nil || !a.Current() {
			t.Fatalf("got %v, want message 1, which is current", held)
		}
		if b.put("a", ""); held["1"].Current() {
			t.Error("message 1 was cleared, and is current")
		}
	})
}
