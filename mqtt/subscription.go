package mqtt

// Subscription is what a subscriber asked for.
type Subscription struct {
	Filter            string // in full, "$share/group/filter" included
	QoS               byte   // the highest it wants
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte   // 0 send retained, 1 only if the subscription is new, 2 do not
	ID                uint32 // subscription identifier, 0 = none
}

// Delivery is how one message is to reach one subscriber: the sum of its subscriptions that match.
type Delivery struct {
	QoS    byte     // min(message, highest subscription)
	Retain bool     // the RETAIN flag to show [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT311-3.3.1-8] [MQTT311-3.3.1-9]
	IDs    []uint32 // subscription identifiers; shared, read only
	Group  string   // the full filter of the shared subscription it comes through; "" = none

	// Offered: another member of the group could take the message. A subscriber whose queue is full must then
	// decline: it does not call Receipt.Count, and neither drops nor refuses.
	Offered bool
}
