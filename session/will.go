package session

import (
	"time"

	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// will is what is to be published when the connection ends without a normal DISCONNECT:
//
//	abnormal end ─delay 0─→ published
//	             ─delay───→ published after min(delay, session expiry), or dropped by a new connection before
//
// [MQTT-3.1.2-8] [MQTT-3.1.3-9] [MQTT311-3.1.2-8]
type will struct {
	msg    *mqtt.Message
	delay  time.Duration
	expiry time.Duration // of the message once published; 0 = none
	grace  time.Duration // not published before that time of Manager.clock
}

// newWill is the will of a CONNECT; nil when it has none, and then none is published. [MQTT311-3.1.2-12]
func newWill(req *mqtt.OpenRequest, clientID string) *will {
	if req.Will == nil {
		return nil
	}
	return ownWill(req.Will, req.WillDelay, req.WillExpiry, clientID)
}

func ownWill(m *mqtt.Message, delay, expiry time.Duration, clientID string) *will {
	msg := *m
	msg.Publisher, msg.From = clientID, mqtt.Source{Scope: mqtt.ScopeClient}
	return &will{msg: &msg, delay: delay, expiry: expiry}
}

// willAtLocked is when the will of a detached session is to be published; the grace after a restart aside.
func (s *Session) willAtLocked() time.Duration {
	delay := s.will.delay
	switch {
	case s.leftLocked():
		delay = min(delay, longestLeft)
	case s.expiry >= 0:
		delay = min(delay, s.expiry)
	}
	return s.detached + max(0, delay)
}

// overAtLocked is when a detached session ends; a will from before a restart has its grace.
func (s *Session) overAtLocked() time.Duration {
	at := s.detached + s.expiry
	if s.will != nil {
		at = max(at, s.will.grace, s.willAtLocked())
	}
	return at
}

// publishWill publishes w into b, which the caller commits. Neither a gate's session nor b is locked. w may be nil.
func (m *Manager) publishWill(b *batch.Batch, w *will) {
	if w == nil {
		return
	}
	msg := *w.msg
	if w.expiry > 0 {
		msg.Expires = m.cfg.Now().Add(w.expiry)
	}
	r := mqtt.NewReceipt(b, func(err error) {
		if err != nil {
			m.log.Error("will was not kept by everybody", "client", msg.Publisher, "topic", msg.Topic, "error", err)
		}
	})
	m.count.wills.Inc()
	m.cfg.Router.Publish(&msg, r)
	r.Close()
}
