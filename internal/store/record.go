package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"mangrove/internal/oplog"
)

// A log record is what a group changes:
//
//	 0      1           5
//	┌──────┬───────────┬────────────────┬───────────────────────┐
//	│ kind │ store id  │ uvarint: limit │ operations of a batch │
//	└──────┴───────────┴────────────────┴───────────────────────┘
//
// The id is the lower half of the store's, so that a log that belongs to another database is noticed. limit is the number up to which
// NextID may give numbers, 0 = as before.
const (
	recordOps  = 1
	recordHead = 5
)

// Bounds of the operations of one batch, which is one record of the log.
const (
	maxBatch = 60 << 20
	maxNew   = 48 << 20 // of a batch that is not owed: takers at other nodes may write more beside a message than those here
)

var errRecord = errors.New("it is no record of this version")

func appendRecordHead(dst []byte, id, limit uint64) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, recordOps), uint32(id))
	return binary.AppendUvarint(dst, limit)
}

// cutRecordHead returns the operations and where they start.
func cutRecordHead(record []byte, id uint64) (limit uint64, ops []byte, base int, err error) {
	if len(record) < recordHead || record[0] != recordOps {
		return 0, nil, 0, errRecord
	}
	if binary.BigEndian.Uint32(record[1:]) != uint32(id) {
		return 0, nil, 0, errors.New("it was written for another state.db")
	}
	limit, n := binary.Uvarint(record[recordHead:])
	if n <= 0 {
		return 0, nil, 0, errRecord
	}
	return limit, record[recordHead+n:], recordHead + n, nil
}

// openLog opens the log of the database with that heading, and checks that one follows the other.
func openLog(cfg Config, h heading, made bool) (log oplog.Log, err error) {
	if cfg.OpenLog != nil {
		log, err = cfg.OpenLog()
	} else {
		log, err = openDiskLog(cfg)
	}
	if err == nil {
		if err = follows(log, h, made); err != nil {
			err = errors.Join(err, log.Close())
		}
	}
	if errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%s: %w: %s", logPath(cfg.Dir), err, whatToDo)
	}
	if err != nil {
		return nil, err
	}
	return log, nil
}

// follows tells what is wrong when the log does not go on where the database ends.
func follows(log oplog.Log, h heading, made bool) error {
	first, last := log.Bounds()
	switch {
	case (made || h.format < 2) && last >= first:
		return fmt.Errorf("%w: state.db is older than the log beside it, which has records %d to %d", ErrDamaged, first, last)
	case last < h.applied:
		return fmt.Errorf("%w: the log ends with record %d, state.db holds record %d already", ErrDamaged, last, h.applied)
	case first > h.applied+1:
		return fmt.Errorf("%w: the log begins with record %d, state.db ends with record %d", ErrDamaged, first, h.applied)
	}
	return nil
}

// replay makes the log's records after the applied one part of the active delta, with checkpoints in between when it becomes large. Nothing else
// runs yet.
func (s *Store) replay(applied uint64) error {
	s.deltas.active = newDelta(applied)
	n := 0
	err := s.log.Replay(applied+1, func(index uint64, record []byte) error {
		n++
		if err := s.replayRecord(index, record); err != nil {
			return err
		}
		if s.deltas.active.memory < s.cfg.MaxDeltaBytes {
			return nil
		}
		_, err := s.checkpoint(s.deltas.freeze())
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w: %w: %s", logPath(s.cfg.Dir), ErrDamaged, err, whatToDo)
	}
	s.count.replayed.Add(n)
	return s.trim()
}

func (s *Store) replayRecord(index uint64, record []byte) error {
	limit, ops, base, err := cutRecordHead(record, s.id)
	if err != nil {
		return err
	}
	w := &s.writer
	w.group.reset()
	if err := w.group.add(ops, base); err != nil {
		return err
	}
	if err := s.plan(); err != nil {
		return err
	}
	s.install(index, limit, len(record))
	return nil
}
