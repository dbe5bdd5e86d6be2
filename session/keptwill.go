package session

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/notice"
)

// A session that is not durable has a record all the same while its connection has a will, for that alone: number 0. Should
// the node be killed, the next start finds it, and there is a session again that only waits for the will to be published:
//
//	CONNECT ─ record ─┬ the connection ends ─ the will is published or dropped, the record goes: one batch
//	                  └ the node ends ─ start ─┬ will delay, WillGrace ─ published, the record goes: one batch
//	                                           └ the client is back ─┬ within the will delay: dropped
//	                                                                 └ later: published, in the batch of the new record
//
// [MQTT-3.1.2-7] [MQTT-3.1.2-8]

// willSlack is for batches that write or remove such a record and nothing else: it survives kill -9 at once, a power cut within
// that time. The log is in order, so what the node acknowledges as stable after CONNACK makes the will stable before.
const willSlack = batch.Slack(time.Second)

// longestLeft bounds the will delay after a restart for a session that ended with the node: without the restart its will would
// have been published at once.
const longestLeft = time.Hour

// willOverhead is what a record is counted beside its key and value.
const willOverhead = 64

var errWillRoom = errors.New("the wills of such clients take all the room that they may")

// keptWills is the records that are there for wills alone.
type keptWills struct {
	bytes atomic.Int64

	mu      sync.Mutex
	trouble notice.Trouble // wills that are not kept
}

// keepWill puts the record into b and returns its size; 0 when there is no store, or no room.
func (m *Manager) keepWill(b *batch.Batch, clientID string, rec *record) int {
	if m.cfg.Store == nil {
		return 0
	}
	value := rec.append(nil)
	size := len(clientID) + len(value) + willOverhead
	if m.wills.bytes.Add(int64(size)) > m.cfg.MaxWillBytes {
		m.freeWill(size)
		m.willUnkept(clientID, errWillRoom)
		return 0
	}
	b.Put(batch.Sessions, []byte(clientID), value)
	return size
}

// freeWill notes that a record of that size is gone.
func (m *Manager) freeWill(size int) {
	if size != 0 {
		m.wills.bytes.Add(-int64(size))
	}
}

// willUnkept tells the operator that a will would not survive the node.
func (m *Manager) willUnkept(clientID string, why error) {
	m.count.unkept.Inc()
	k := &m.wills
	k.mu.Lock()
	tell, times := k.trouble.Note(m.cfg.Now(), why.Error()), k.trouble.Times
	k.mu.Unlock()
	if tell {
		m.log.Warn("will is kept in memory only: it is lost if the node is killed", "client", clientID, "error", why, "times", times)
	}
}

// recorded reports whether the client's record in the store is of s. s may be nil.
func (s *Session) recorded() bool {
	if s == nil || s.durable() {
		return s != nil
	}
	s.lock()
	defer s.unlock()
	return s.traffic != nil && s.traffic.kept != 0
}

// erase is eraseLocked without the lock.
func (s *Session) erase(b *batch.Batch) {
	s.lock()
	defer s.unlock()
	s.eraseLocked(b)
}

// eraseLocked removes the record of a session that ends, in the batch that publishes its will if there is one.
func (s *Session) eraseLocked(b *batch.Batch) {
	switch t := s.traffic; {
	case s.durable():
		b.Delete(batch.Sessions, []byte(s.clientID))
		s.keepSentLocked(b)
	case t != nil && t.kept != 0:
		if b.Empty() {
			b.SetSlack(willSlack)
		}
		b.Delete(batch.Sessions, []byte(s.clientID))
	}
}

// leftLocked reports whether s only waits for the will of a connection that the last run left.
func (s *Session) leftLocked() bool {
	return s.will != nil && s.will.grace != 0 && s.expiry == 0 && !s.durable()
}

// expires reports whether s outlives its connection.
func (s *Session) expires() bool {
	s.lock()
	defer s.unlock()
	return s.expiry != 0
}
