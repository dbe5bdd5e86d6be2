package mqtttest

import (
	"sync"

	"mangrove/mqtt"
)

// Keeper is an mqtt.Subscriber that keeps what it is given and holds the receipts of QoS 1 and 2 until the test
// releases them. The zero value is an online client without an id. What is exported is set before the first
// message comes, or while none is on its way; everything else is safe for concurrent use.
type Keeper struct {
	Name string     // what ClientID answers
	Kind mqtt.Scope // what Scope answers; 0 = a client

	Away bool  // it is not online
	Gone bool  // its session has ended: it takes nothing
	Full bool  // it declines what another member of the group could take
	Fail error // what it refuses with

	Got        []*mqtt.Message
	Deliveries []mqtt.Delivery // of Got

	mu   sync.Mutex
	held []*mqtt.Receipt
}

// ClientID implements mqtt.Subscriber.
func (k *Keeper) ClientID() string { return k.Name }

// Online implements mqtt.Subscriber.
func (k *Keeper) Online() bool { return !k.Away }

// Scope implements mqtt.Subscriber.
func (k *Keeper) Scope() mqtt.Scope {
	if k.Kind == 0 {
		return mqtt.ScopeClient
	}
	return k.Kind
}

// Deliver implements mqtt.Subscriber.
func (k *Keeper) Deliver(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Gone || k.Full && d.Offered {
		return
	}
	r.Count()
	k.Got, k.Deliveries = append(k.Got, m.Kept()), append(k.Deliveries, d)
	if k.Fail != nil {
		r.Refuse(k.Fail)
		return
	}
	if d.QoS > 0 {
		r.Hold()
		k.held = append(k.held, r)
	}
}

// Release ends the i-th hold: the message is kept when err is nil.
func (k *Keeper) Release(i int, err error) {
	k.mu.Lock()
	r := k.held[i]
	k.mu.Unlock()
	r.Release(err)
}

// Topics are those of the messages that have come.
func (k *Keeper) Topics() (names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.Got {
		names = append(names, m.Topic)
	}
	return names
}

// Forget makes as if nothing had come.
func (k *Keeper) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Got, k.Deliveries, k.held = nil, nil, nil
}
