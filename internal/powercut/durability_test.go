package powercut

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/router"
)

// A power cut takes the end of what was acknowledged on topics of class none, and nothing else: what was acknowledged on others is there,
// and what came before it, in order. [promise P1] [promise P3]
func TestPowerCutByTopic(t *testing.T) {
	lost := 0
	for seed := range uint64(25) {
		folder, remove := memoryFolder(t)
		synctest.Test(t, func(t *testing.T) {
			n, err := cutByTopic(folder, seed)
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			lost += n
		})
		remove()
	}
	if lost == 0 {
		t.Error("no cut took anything: the test proves nothing")
	}
}

func cutByTopic(folder string, seed uint64) (lost int, err error) {
	w := newWorld(folder, seed, fault{})
	w.node.durability = router.Durability{Rules: []router.DurabilityRule{{Filter: "debug/#", Slack: batch.Unsynced}}}
	if err := w.boot(); err != nil {
		return 0, err
	}
	if err := w.node.subscribeAway("away", "#"); err != nil {
		return 0, err
	}
	var sent []string
	owed := 0 // so many of them
	for range 15 {
		b, acknowledged := w.node.store.NewBatch(), make(chan error, 3)
		slack, n := batch.Unsynced, 1+w.rng.IntN(3)
		for range n {
			m := &message{topic: "debug/a", payload: fmt.Sprint(len(sent)), qos: 1}
			if sent = append(sent, m.payload); w.rng.IntN(6) == 0 {
				m.topic, owed = "alarm", len(sent)
			}
			r := mqtt.NewReceipt(b, func(err error) { acknowledged <- err })
			w.node.router.Publish(m.mqtt(), r)
			slack = min(slack, r.Slack())
			r.Close()
		}
		b.SetSlack(slack)
		w.node.store.Commit(b)
		for range n {
			err = errors.Join(err, <-acknowledged)
		}
	}
	w.node.disk.CutAt(1)
	if err := errors.Join(err, w.cut(), w.boot()); err != nil {
		return 0, err
	}
	got, err := w.node.queued(w, "away")
	if len(got) < owed || fmt.Sprint(got) != fmt.Sprint(sent[:len(got)]) {
		err = errors.Join(err, fmt.Errorf("got %v of %v, want the first %d at least", got, sent, owed))
	}
	return len(sent) - len(got), errors.Join(err, w.node.stop())
}

// subscribeAway makes a durable session that is not connected.
func (m *machine) subscribeAway(id, filter string) error {
	out := new(outlet)
	s, _, err := m.sessions.Open(mqtt.OpenRequest{ClientID: id, Expiry: -1, ReceiveMaximum: 250}, out)
	if err != nil {
		return err
	}
	if _, err := s.Subscribe([]mqtt.Subscription{{Filter: filter, QoS: 1}}); err != nil {
		return err
	}
	s.Detach(out, mqtt.DetachRequest{})
	return nil
}

// queued connects a session and returns the payloads it is sent.
func (m *machine) queued(w *world, id string) (payloads []string, err error) {
	out := &outlet{w: w}
	s, present, err := m.sessions.Open(mqtt.OpenRequest{ClientID: id, Expiry: -1, ReceiveMaximum: 250}, out)
	if err != nil || !present {
		return nil, errors.Join(err, fmt.Errorf("session present: %t", present))
	}
	s.Resume()
	synctest.Wait()
	for _, p := range out.take() {
		payloads = append(payloads, p.payload)
	}
	return payloads, nil
}
