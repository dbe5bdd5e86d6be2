package firmwaresim

// Kind is what a message of the fleet is about: the last level of its topic.
type Kind byte

const (
	Telemetry Kind = iota // readings, device → verifier
	Status                // birth and will, retained
	Command               // verifier → device
	Reply                 // device → verifier
	kinds
)

var kindNames = [kinds]string{"telemetry", "status", "cmd", "reply"}

func (k Kind) String() string { return kindNames[k] }

// kindOf is the kind named by the last level of a topic.
func kindOf(level string) (Kind, bool) {
	for k, name := range kindNames {
		if name == level {
			return Kind(k), true
		}
	}
	return 0, false
}

// lane follows the messages of one device, topic and QoS: the unit in which MQTT promises order.
// Sequence numbers start at 1 and have no holes where they are made.
type lane struct {
	published  uint64 // the highest number handed to the client
	acked      spans  // acknowledged with success; QoS 0 has no such thing
	received   spans
	refused    uint64 // acknowledged with an error
	highest    uint64 // of the first deliveries so far
	duplicated uint64
	disordered uint64 // first deliveries that came after a higher number
}

func (l *lane) receive(seq uint64) {
	if !l.received.add(seq) {
		l.duplicated++
		return
	}
	if seq < l.highest {
		l.disordered++
	}
	l.highest = max(l.highest, seq)
}

// tally adds the lane to t.
func (l *lane) tally(qos byte, t *Tally) {
	t.Published += l.published
	t.Received += l.received.count
	t.Duplicated += l.duplicated
	t.OutOfOrder += l.disordered
	t.Refused += l.refused
	t.WrittenOff += l.received.writtenOff + l.acked.writtenOff
	if qos == 0 {
		t.LostQoS0 += l.published - min(l.received.count, l.published)
		return
	}
	t.Acknowledged += l.acked.count
	t.Unacknowledged += l.published - min(l.acked.count+l.refused, l.published)
	t.Lost += l.acked.without(&l.received) + l.received.writtenOff
	if qos == 2 {
		t.DuplicatedQoS2 += l.duplicated
	}
}
