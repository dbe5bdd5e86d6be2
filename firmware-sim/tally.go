package firmwaresim

// Tally is what became of a set of messages.
//
//	published = acknowledged + unacknowledged + refused (QoS 1 and 2) + the QoS 0 ones
//	acknowledged = received + lost                       (when all are settled)
type Tally struct {
	Devices        int    `json:"devices"`
	Published      uint64 `json:"published"`      // handed to the client for sending
	Acknowledged   uint64 `json:"acknowledged"`   // QoS 1 and 2: the broker said it has it
	Received       uint64 `json:"received"`       // distinct messages that reached the verifier
	Lost           uint64 `json:"lost"`           // acknowledged, and never received
	Unacknowledged uint64 `json:"unacknowledged"` // QoS 1 and 2 whose acknowledgement never came
	Refused        uint64 `json:"refused"`        // acknowledged with an error code
	LostQoS0       uint64 `json:"lost_qos0"`      // QoS 0 promises nothing; counted all the same
	Duplicated     uint64 `json:"duplicated"`     // arrivals beyond the first
	DuplicatedQoS2 uint64 `json:"duplicated_qos2"`
	OutOfOrder     uint64 `json:"out_of_order"`  // first arrivals after a later message of the same device, topic and QoS
	NotPublished   uint64 `json:"not_published"` // readings a device gave up: outbox full, or QoS 0 while offline
	Unsent         uint64 `json:"unsent"`        // still in an outbox at the end
	WrittenOff     uint64 `json:"written_off"`   // gaps that were too many to follow

	Latency Latency `json:"latency"`
}

func (t *Tally) add(o Tally) {
	t.Devices += o.Devices
	t.Published += o.Published
	t.Acknowledged += o.Acknowledged
	t.Received += o.Received
	t.Lost += o.Lost
	t.Unacknowledged += o.Unacknowledged
	t.Refused += o.Refused
	t.LostQoS0 += o.LostQoS0
	t.Duplicated += o.Duplicated
	t.DuplicatedQoS2 += o.DuplicatedQoS2
	t.OutOfOrder += o.OutOfOrder
	t.NotPublished += o.NotPublished
	t.Unsent += o.Unsent
	t.WrittenOff += o.WrittenOff
}

// settled tells that every QoS 1 and 2 message was acknowledged and every acknowledged one has arrived.
func (t *Tally) settled() bool { return t.Unacknowledged == 0 && t.Lost == 0 && t.Unsent == 0 }
