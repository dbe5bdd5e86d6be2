package mqtt

import (
	"errors"
	"time"
)

// ErrQuota is what a durable taker refuses with when its queue is at its bound: reason code 0x97.
var ErrQuota = errors.New("queue is full")

// Subscriber takes messages: a client's session, a neighbour broker, a tap.
// Safe for concurrent use. The pointer behind it is its identity.
type Subscriber interface {
	// Deliver hands m over and never blocks. A subscriber that needs m after the call keeps m.Kept(). When d.QoS >= 1
	// and the subscriber promises to keep messages over a crash, it writes to r.Batch, or refuses. r is never nil.
	Deliver(m *Message, d Delivery, r *Receipt)
	// ClientID is the MQTT client id of a session, for No Local and for the strategies of shared subscriptions;
	// neighbours answer their node name.
	ClientID() string
	// Scope tells what kind of taker it is.
	Scope() Scope
	// Online reports whether a message would leave at once; shared subscriptions prefer such.
	Online() bool
}

// Router is where messages and subscriptions meet. Safe for concurrent use.
type Router interface {
	// Publish stamps m (ID, Origin), keeps it as retained when m.Retain, and hands it to every
	// matching subscriber. It does not close r and does not commit its batch.
	Publish(m *Message, r *Receipt)
	// Subscribe adds or replaces s's subscription under sub.Filter.
	Subscribe(s Subscriber, sub Subscription) Subscribed
	// Unsubscribe takes the full filter.
	Unsubscribe(s Subscriber, filter string) (existed bool)
	// HandOver gives m to another member of the shared subscription with that full filter: the member that was to get
	// it will not. m has been published before, so nothing is stamped or retained. r.Taken tells whether a member
	// took it.
	HandOver(filter string, m *Message, r *Receipt)
	// Interest calls fn for each filter (without $share) that subscribers of these scopes hold,
	// with the highest QoS wanted, then for each change; wanted is false when the last holder went.
	// Calls are serialised and in order; fn must not block or call the Router. stop ends them.
	Interest(scopes Scope, fn func(filter string, qos byte, wanted bool)) (stop func())
}

// Subscribed is what a Router tells of a subscription that it has just registered.
type Subscribed struct {
	Existed bool // it replaced one of the same subscriber and filter
	// Since divides the retained messages: those with a higher Message.ID are published with the subscription in place, so that it
	// gets them as they come; of the others none is under way any more, so that it gets none of them unless it asks Retained.
	Since uint64
}

// Retention is a retained message as its keeper sees it. Safe for concurrent use, without a lock.
type Retention interface {
	// Current reports whether it is still the one that is retained for its topic.
	Current() bool
}

// Retained keeps the last message of each topic that was published with RETAIN.
type Retained interface {
	// Set keeps m (m.Kept), or forgets its topic when the payload is empty. It becomes visible at once and
	// stable with r's batch. It gives m a Version if it has none, and takes Retain from m when what is held is newer.
	Set(m *Message, r *Receipt)
	// Match visits the retained messages whose topic matches filter (without $share), expired ones
	// left out, while visit returns true.
	Match(filter string, now time.Time, visit func(*Message) bool)
	// Replay is Match for a new subscription: what was published after since (Subscribed.Since) reaches it anyway, and is
	// left out. What Match says of messages that are replaced meanwhile holds for it; held tells of each whether it was.
	Replay(filter string, now time.Time, since uint64, visit func(m *Message, held Retention) bool)
	// Holds reports whether the message that is retained for topic, or that cleared it, is the one of that origin,
	// without reading it.
	Holds(topic string, o Origin) bool
}
