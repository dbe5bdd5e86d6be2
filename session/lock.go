package session

// lock and unlock are the only way to what Session.mutex guards: a bare Unlock would leave behind what unlock does.
// internal/repotest looks for one.
func (s *Session) lock() { s.mutex.Lock() }

// unlock ends what lock began. It commits what was written meanwhile (batchLocked), without the lock, because Commit
// may answer at once; it states whether the session is online; and it lets go of traffic that has ended.
func (s *Session) unlock() {
	t := s.traffic
	if t == nil {
		s.mutex.Unlock()
		return
	}
	b := t.batch
	t.batch = nil
	if on := t.out.running && !t.out.blocked; on != s.online.Load() {
		s.online.Store(on)
	}
	if t.jam != nil && t.jam.Full() && s.roomyLocked() {
		s.unjamLocked()
	}
	if t.idle() && !s.ended {
		s.next, s.traffic = t.out.next, nil
	}
	s.mutex.Unlock()
	if b != nil {
		s.m.cfg.Store.Commit(b)
	}
}
