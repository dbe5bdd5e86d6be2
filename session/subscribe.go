package session

import (
	"errors"
	"fmt"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

var errEnded = errors.New("session has ended")

// Subscribe keeps the subscriptions, then registers them with the Router, which replaces those of the same filter in
// one step. [MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT311-3.8.4-3]
func (s *Session) Subscribe(subs []mqtt.Subscription) ([]mqtt.Subscribed, error) {
	defer s.m.gates.enter(s.clientID).leave()
	if err := s.maySubscribe(len(subs)); err != nil {
		return nil, err
	}
	err := s.keepFilters(func(b *batch.Batch) {
		for _, sub := range subs {
			b.Put(batch.Subscriptions, filterKey(s.number, sub.Filter), appendSubscription(nil, sub))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("keep subscriptions: %w", err)
	}
	if s.durable() && s.m.stopping.Load() { // it is not acknowledged: see Kept
		return nil, &packet.Error{Reason: packet.ServerShuttingDown, Detail: "the node is stopping"}
	}
	done := make([]mqtt.Subscribed, len(subs))
	for i, sub := range subs {
		done[i] = s.m.cfg.Router.Subscribe(s, sub)
		s.lock()
		s.filters.add(sub.Filter)
		s.unlock()
	}
	return done, nil
}

// Unsubscribe takes full filters. What is queued already is still delivered. [MQTT-3.10.4-1] [MQTT-3.10.4-2]
// [MQTT-3.10.4-3] [MQTT311-3.10.4-1] [MQTT311-3.10.4-2] [MQTT311-3.10.4-3]
func (s *Session) Unsubscribe(list []string) (existed []bool, err error) {
	defer s.m.gates.enter(s.clientID).leave()
	if err := s.maySubscribe(0); err != nil {
		return nil, err
	}
	err = s.keepFilters(func(b *batch.Batch) {
		for _, f := range list {
			b.Delete(batch.Subscriptions, filterKey(s.number, f))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("remove subscriptions: %w", err)
	}
	existed = make([]bool, len(list))
	for i, f := range list {
		existed[i] = s.m.cfg.Router.Unsubscribe(s, f)
		s.lock()
		s.filters.remove(f)
		s.unlock()
	}
	return existed, nil
}

func (s *Session) maySubscribe(more int) error {
	s.lock()
	defer s.unlock()
	switch most := s.m.cfg.MaxSubscriptions; {
	case s.ended:
		return errEnded
	case s.filters.len()+more > most:
		return &packet.Error{Reason: packet.QuotaExceeded,
			Detail: fmt.Sprintf("the session may have %d subscriptions", most)}
	}
	return nil
}

// keepFilters commits what fill writes, when the session is durable. The gate is held.
func (s *Session) keepFilters(fill func(*batch.Batch)) error {
	if !s.durable() {
		return nil
	}
	b := s.m.newBatch()
	fill(b)
	return s.m.commit(b)
}
